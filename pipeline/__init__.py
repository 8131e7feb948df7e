"""Build versioned datasets on Ray: choose, fetch, do the work of a stage, pack, record.

`from pipeline import build, BuildSettings`; see `pipeline.builder.build`. The way of an item from source to shard:

1. `sources` lists it, with its location and facts, and `plan` decides what to do with it.
2. `run` gives its job to `cluster`, and a worker (`work.worker`) fetches its file and calls its stage (`work.stage`),
   in a build `work.render_stage`.
3. `work.staging` keeps its files, and `ledger` records how it ended.
4. When all objects of its shard number have ended, a worker packs them (`work.pack`, `shards.write`).
5. `run` publishes a version with the new shards, and `catalog` has a row for the object.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.builder import BuildSettings, build
    from pipeline.update import BuildSummary

__all__ = ["BuildSettings", "BuildSummary", "build"]


def __getattr__(name: str) -> Any:
    # On first use: workers import single modules of this package and must not load the whole builder.
    if name in __all__:
        from pipeline import builder, update

        return getattr(update if name == "BuildSummary" else builder, name)
    raise AttributeError(f"module 'pipeline' has no attribute {name!r}")
