"""Measure a build's overhead over bare rendering, and the gain of a second worker, on the same objects.

python -m bench.overhead [--objects N] [--rounds N] [--views N] [--set KEY=VALUE …] [--json FILE] [--page]

Bare rendering is Blender in a loop, without fetching, staging, packing or records. Its gain from a second Blender is
the most the machine can give. A build's seconds run from the start of the first render to the end of the last. Ray's
start and the end of the build do not grow with the number of objects, so they are shown separately.

A single bare Blender and a build with a single worker take turns, with a part of the objects in each round, because a
machine's speed varies. Two Blenders or workers get all objects at once, because at the end of each round either waits
for the other. Run it on an idle machine.
"""

import argparse
import json
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from app.settings import Settings, load_settings
from base.progress import SILENT
from base.storage import Storage
from base.versions import machine, versions
from bench.sections import write_section
from evaluation.table import markdown_table
from pipeline.builder import BuildSettings, build
from pipeline.catalog.objects import SourceObject
from pipeline.catalog.tables import Catalog
from pipeline.sources.folder import folder_objects
from render.child import RenderChild
from render.run import render_views

EXAMPLES = Path(__file__).parents[1] / "examples" / "objects"
PAGE = Path(__file__).parents[1] / "docs" / "scale.md"
Figures = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=16, metavar="N", help="copies of examples/objects, in turn")
    parser.add_argument("--rounds", type=int, default=4, metavar="N", help="rounds for a single Blender or worker")
    parser.add_argument("--views", type=int, default=12, metavar="N")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--page", action="store_true", help="write a section of docs/scale.md")
    options = parser.parse_args()
    if not 1 <= options.rounds <= options.objects:
        parser.error(f"--rounds: expected 1 to as many as objects ({options.objects}), got {options.rounds}")
    shared = [f"render.views={options.views}", "run.cpus_per_worker=1.0", *options.set]
    with tempfile.TemporaryDirectory() as scratch:
        folder, rows = Path(scratch), list[Figures]()
        for number in range(options.rounds):
            # Rounds get nearly equal numbers of objects, which add up to all of them.
            count = (options.objects + number) // options.rounds
            rows += both(folder / f"round{number}", count, 1, shared, build_first=number % 2 == 1)
        rows += both(folder / "all", options.objects, 2, shared, build_first=False)
    bares = [total(rows, bare_of(blenders)) for blenders in (1, 2)]
    builds = [total(rows, build_of(workers)) for workers in (1, 2)]
    cells = [[row["side"], f"{row['s']:.1f}", f"{row['all_s']:.1f}"] for row in (*bares, *builds)]
    table = markdown_table(["", "seconds", "with start and end"], cells)
    overhead = builds[0]["s"] / bares[0]["s"] - 1.0
    gain, ceiling = builds[0]["s"] / builds[1]["s"], bares[0]["s"] / bares[1]["s"]
    told = (
        f"Overhead of a build over bare rendering: {overhead:.1%}; two workers are {gain:.2f} times as fast "
        f"as a single worker, and two bare Blenders {ceiling:.2f} times as fast."
    )
    print(f"{table}\n\n{told}")
    if options.page:
        write_section(PAGE, "Real renders", [table, "", told])
    if options.json:
        figures = {"rows": [*bares, *builds], "rounds": rows, "overhead": overhead, "gain": gain, "ceiling": ceiling}
        options.json.write_text(json.dumps({**figures, "machine": machine(), "versions": versions()}, indent=2) + "\n")
    return 0


def bare_of(blenders: int) -> str:
    return f"bare, {blenders} Blender(s)"


def build_of(workers: int) -> str:
    return f"a build, {workers} worker(s)"


def total(rows: list[Figures], side: str) -> Figures:
    """Add up the rounds of a side."""
    return {"side": side, **{name: sum(row[name] for row in rows if row["side"] == side) for name in ("s", "all_s")}}


def both(folder: Path, objects: int, at_once: int, shared: list[str], *, build_first: bool) -> list[Figures]:
    """Render `objects` objects bare and as a build, `at_once` at a time. `build_first` decides the order."""
    copies(folder / "models", objects)
    mine = [f"objects.folder={folder / 'models'}", f"storage.root={folder / 'dataset'}", f"run.workers={at_once}"]
    settings = load_settings(None, [], [*shared, *mine])
    sides = [lambda: bare(settings, folder / "bare", at_once), lambda: time_build(settings, at_once)]
    return [side() for side in (sides[::-1] if build_first else sides)]


def copies(folder: Path, count: int) -> None:
    """Copy `count` models of the examples. Repeated copies get some more bytes, or they would count as duplicates."""
    folder.mkdir(parents=True)
    models = sorted(EXAMPLES.glob("*.glb"))
    for number in range(count):
        source = models[number % len(models)]
        (folder / f"{source.stem}_{number}.glb").write_bytes(_mark(source.read_bytes(), number // len(models)))


def _mark(glb: bytes, mark: int) -> bytes:
    """Return the GLB with 4 · `mark` more spaces after its JSON: the same model with other bytes."""
    length = int.from_bytes(glb[12:16], "little")
    head, text, rest = glb[:8], glb[20 : 20 + length] + b"    " * mark, glb[20 + length :]
    size = 20 + len(text) + len(rest)
    return head + size.to_bytes(4, "little") + len(text).to_bytes(4, "little") + glb[16:20] + text + rest


def bare(settings: Settings, folder: Path, blenders: int) -> Figures:
    """Render the objects with `blenders` Blenders. Each takes the next object when it is free."""
    started = time.monotonic()
    waiting = SimpleQueue[SourceObject]()
    for item in folder_objects(Path(settings.objects.folder), SILENT):
        waiting.put(item)
    with ThreadPoolExecutor(blenders) as pool, ExitStack() as stack:
        children = [stack.enter_context(RenderChild(settings.render)) for _ in range(blenders)]
        begun = time.monotonic()
        parts = [pool.submit(_drain, waiting, child, settings, folder) for child in children]
        objects = sum(part.result() for part in parts)
        ended = time.monotonic()
    all_s = time.monotonic() - started
    return {"side": bare_of(blenders), "objects": objects, "s": ended - begun, "all_s": all_s}


def _drain(waiting: SimpleQueue[SourceObject], child: RenderChild, settings: Settings, folder: Path) -> int:
    objects = 0
    with suppress(Empty):
        while True:
            item = waiting.get_nowait()
            views = folder / item.uid
            views.mkdir(parents=True)
            result = render_views(child, Path(item.location), item.uid, settings.render, settings.run.seed, views)
            assert result.outcome == "ok", result.reason
            objects += 1
    return objects


def time_build(settings: Settings, workers: int) -> Figures:
    """Build the same objects."""
    started = time.monotonic()
    build(BuildSettings(**{name: getattr(settings, name) for name in BuildSettings.model_fields}), SILENT)
    all_s = time.monotonic() - started
    attempts = Catalog(Storage(settings.storage.root)).attempts()
    # The catalogue tells when renders ran, so Ray's start and the last commit stay out.
    begun = min(attempt.at for attempt in attempts)
    ended = max(attempt.at + sum(attempt.seconds.values()) for attempt in attempts)
    return {"side": build_of(workers), "objects": len(attempts), "s": ended - begun, "all_s": all_s}


if __name__ == "__main__":
    raise SystemExit(main())
