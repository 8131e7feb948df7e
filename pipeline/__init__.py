"""Build versioned datasets of rendered views on Ray: choose, fetch, render, pack, record.

`from pipeline import build, BuildSettings`; see `pipeline.builder.build`. The way of an object from source to shard:

1. `sources` lists it, with its location and facts, and `plan` decides what to do with it.
2. `run` gives its job to `cluster`, and a worker (`work.worker`) fetches its file and calls `render.run.render_views`.
3. `work.staging` keeps its views, and `ledger` records how it ended.
4. When all objects of its shard number have ended, a worker packs them (`work.pack`, `shards.write`).
5. `run` publishes a version with the new shards, and `catalog` has a row for the object.
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
