"""Measure how a build scales: a million objects through the real plan, crew, catalogue and versions, without renders.

python -m bench.scale [--objects N] [--workers N] [--folder DIR] [--json FILE] [--page]

Fetching and rendering are stubs (bench/stub.py), shards are real and tiny. Each build runs in its own process, so peak
memory is the driver's. After the first build: again without changes; with 1 % of the sources changed; with 1 % more
objects.
"""

import argparse
import io
import json
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

import pipeline.run
import pipeline.update
from app.settings import Settings, load_settings
from base.progress import PlainProgress
from base.storage import Storage
from base.versions import machine, versions
from bench.sections import write_section
from bench.stub import HW, VIEWS, StubWorker
from evaluation.table import markdown_table
from pipeline.builder import BuildSettings, build
from pipeline.catalog.columns import Columns
from pipeline.catalog.tables import Catalog
from shards.version import Version, read_version

PAGE = Path(__file__).parents[1] / "docs" / "scale.md"
Figures = dict[str, Any]
CHANGED = 100
"""A hundredth of the objects is changed, or added."""
TIMED: tuple[tuple[str, Any, str], ...] = (
    ("list_s", Columns, "of"),
    ("plan_s", pipeline.update, "make_plan"),
    ("version_s", Catalog, "commit"),
    ("version_s", Catalog, "newest"),
    ("card_s", pipeline.run, "refresh_card"),
)
"""The timed parts of a build: the figure's name, the module or class of the caller, and the attribute."""


def main() -> int:
    options = _options()
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        folder = Path(scratch)
        settings = load_settings(None, [], _overrides(folder, options.workers))
        rows = [_print_build(row) for row in _builds(folder, settings, options.objects)]
    print(f"\n{_table(rows)}")
    if options.page:
        write_section(PAGE, "Many objects", [_table(rows), NOTES.rstrip()])
    if options.json:
        about = {"machine": machine(), "versions": versions(), "settings_digest": settings.digest()}
        options.json.write_text(json.dumps({"objects": options.objects, "rows": rows, **about}, indent=2) + "\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=20_000, metavar="N")
    parser.add_argument("--workers", type=int, default=2, metavar="N")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="for 8 GB a million objects (default: temporary)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--page", action="store_true", help="write a section of docs/scale.md")
    return parser.parse_args()


def _overrides(folder: Path, workers: int) -> list[str]:
    return [
        *(f"storage.root={folder / 'dataset'}", f"objects.urls={folder / 'objects.parquet'}", "objects.source=urls"),
        *(f"run.workers={workers}", "run.cpus_per_worker=0.5"),
        *(f"render.views={VIEWS}", f"render.hw=[{HW[0]},{HW[1]}]"),
    ]


def _builds(folder: Path, settings: Settings, objects: int) -> Iterator[Figures]:
    changed = objects // CHANGED
    for name, total, other in (
        ("first build", objects, 0),
        ("no change", objects, 0),
        ("1 % changed", objects, changed),
        ("1 % added", objects + changed, changed),
    ):
        write_table(folder / "objects.parquet", total, other)
        before = _newest(settings)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            figures = process.submit(measure, settings).result()
        yield {"build": name, "objects": total, **figures, **_difference(before, _newest(settings))}


def measure(settings: Settings) -> Figures:
    """Measure a build. Runs in a process that does nothing else."""
    needed = {name: getattr(settings, name) for name in BuildSettings.model_fields}
    seconds, planned = dict.fromkeys((name for name, *_ in TIMED), 0.0), set[int]()
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
    with _timing(seconds, planned):
        summary = build(BuildSettings(**needed), PlainProgress(io.StringIO()), make=StubWorker)
    wall_s, used = time.monotonic() - started, resource.getrusage(resource.RUSAGE_SELF)
    return {
        "wall_s": wall_s,
        "driver_cpu_s": used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime,
        "driver_mib": used.ru_maxrss / 1024,
        **seconds,
        "rendered": summary.rendered,
        "planned": len(planned),
        "written": len(summary.shards_written),
        "beside_the_plan": len({int(name.split("-")[1]) for name in summary.shards_written} - planned),
    }


@contextmanager
def _timing(seconds: dict[str, float], planned: set[int]) -> Iterator[None]:
    """Add up the seconds of the parts in TIMED, and record the shard numbers a plan will write."""
    with ExitStack() as stack:
        for name, owner, attribute in TIMED:
            act = getattr(owner, attribute)
            # A build calls these very functions, so its own calls are timed.
            setattr(owner, attribute, _stopwatch(name, act, seconds, planned))
            stack.callback(setattr, owner, attribute, act)
        yield


def _stopwatch(name: str, act: Callable[..., Any], seconds: dict[str, float], planned: set[int]) -> Callable[..., Any]:
    def timed(*given: Any, **named: Any) -> Any:
        started = time.monotonic()
        made = act(*given, **named)
        seconds[name] += time.monotonic() - started
        # Only a plan has `rewrite`; other results pass.
        planned.update(getattr(made, "rewrite", ()))
        return made

    return timed


def write_table(path: Path, objects: int, changed: int) -> None:
    """Write a table of objects with rows as long as Objaverse's. The first `changed` objects have other bytes."""
    schema = pyarrow.schema([(name, pyarrow.string()) for name in ("url", "sha256", *_row(0))])
    with parquet.ParquetWriter(path, schema) as writer:
        for start in range(0, objects, 1 << 16):
            numbers = range(start, min(objects, start + (1 << 16)))
            rows = [{"url": _url(number), "sha256": "", **_row(number)} for number in numbers]
            for number, row in zip(numbers, rows, strict=True):
                row["sha256"] = sha256(f"other {number}".encode()).hexdigest() if number < changed else ""
            writer.write_table(pyarrow.Table.from_pylist(rows, schema))


def _url(number: int) -> str:
    name = sha256(str(number).encode()).hexdigest()[:32]
    return f"https://hub.example/datasets/allenai/objaverse/resolve/main/glbs/000-{number % 160:03d}/{name}.glb"


def _row(number: int) -> dict[str, str]:
    return {
        "licence": ("CC-BY-4.0", "CC0-1.0")[number % 2],
        "author": f"author {number % 100_000}",
        "title": f"A model of something, number {number}",
        "page": f"https://models.example/3d-models/{number:032d}",
        "tags": "lowpoly game asset blender pbr",
        "faces": str(number % 50_000),
    }


def _newest(settings: Settings) -> Version | None:
    storage = Storage(settings.storage.root)
    return read_version(storage) if storage.exists("versions") else None


def _difference(before: Version | None, after: Version | None) -> Figures:
    """Count the shards of `before` missing from `after`."""
    old, new = ({shard.name for shard in version.shards} if version else set() for version in (before, after))
    return {"replaced": len(old - new)}


def _print_build(row: Figures) -> Figures:
    rate = row["rendered"] / row["wall_s"]
    print(
        f"{row['build']}: {row['wall_s']:.1f} s, {rate:.0f} objects/s, driver {row['driver_mib']:.0f} MiB", flush=True
    )
    return row


def _table(rows: list[Figures]) -> str:
    header = [
        *("build", "objects", "rendered", "wall s", "rendered/s", "driver CPU s", "driver MiB"),
        *("list s", "plan s", "version s", "card s", "shards planned", "written", "beside the plan", "replaced"),
    ]
    cells = [
        [
            *(row["build"], f"{row['objects']:,}", f"{row['rendered']:,}", f"{row['wall_s']:.1f}"),
            *(f"{row['rendered'] / row['wall_s']:.0f}", f"{row['driver_cpu_s']:.1f}", f"{row['driver_mib']:.0f}"),
            *(f"{row[name]:.1f}" for name in dict.fromkeys(name for name, *_ in TIMED)),
            *(f"{row[name]:,}" for name in ("planned", "written", "beside_the_plan", "replaced")),
        ]
        for row in rows
    ]
    return markdown_table(header, cells)


NOTES = """
Fetching and rendering are stubs. Plan, crew, ledger, shards and versions are real. Each build ran in its own process.

`driver MiB` is the driver's peak memory; `version s` the seconds to make a version: rows and `versions/<n>.json`;
`card s` those for README.md, its picture and ATTRIBUTION.csv. `beside the plan` counts shards written but not planned,
`replaced` the changed shards of the previous version.
"""


if __name__ == "__main__":
    raise SystemExit(main())
