"""Build versioned datasets of rendered views on Ray: choose, fetch, render, pack, record.

`from pipeline import build, BuildSettings`; see `pipeline.builder.build`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.builder import BuildSettings, BuildSummary, build

__all__ = ["BuildSettings", "BuildSummary", "build"]


def __getattr__(name: str) -> Any:
    # On first use: workers import single modules of this package and must not load the whole builder.
    if name in __all__:
        from pipeline import builder

        return getattr(builder, name)
    raise AttributeError(f"module 'pipeline' has no attribute {name!r}")
