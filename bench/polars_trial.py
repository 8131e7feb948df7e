"""Join the catalogue to the requests and judge every object, in our columns and in Polars.

python -m bench.polars_trial [--objects N] [--json FILE]

Polars is no package of this project: `pip install polars` first, into an environment of its own. Each side runs in its
own process, on the same Parquet files, and both must count the same states. `CPU s` is of all threads.
"""

import argparse
import json
import os
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from hashlib import sha256
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow
from pyarrow import parquet

from base.outcomes import Outcome
from base.versions import machine, versions
from evaluation.table import markdown_table
from pipeline.catalog.columns import Columns, schema
from pipeline.catalog.memory import free_large_blocks_at_once
from pipeline.catalog.objects import SourceObject
from pipeline.catalog.rows import SOURCE_COLUMNS, ObjectRow
from pipeline.plan.catalog_join import CatalogJoin
from pipeline.plan.plan import RETRIED, Rules, State
from pipeline.plan.planner import _fingerprints, _states

BATCH, DIGITS = 1 << 16, 16
NEW, CHANGED, FAILED = 100, 50, 20
"""Of so many objects, the first has no row, other bytes, or a failure."""
Counts = dict[str, int]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=1_000_000, metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    with TemporaryDirectory() as scratch:
        write_files(Path(scratch), options.objects)
        rows = [{"side": side, **run_side(side, Path(scratch))} for side in SIDES]
    # A comparison of speed is worth nothing if the two do different work.
    if rows[0]["states"] != rows[1]["states"]:
        raise AssertionError(f"expected the same states of both sides, got {[row['states'] for row in rows]}")
    cells = [[row["side"], f"{row['wall_s']:.1f}", f"{row['cpu_s']:.1f}", f"{row['peak_mib']:.0f}"] for row in rows]
    print(markdown_table(["side", "wall s", "CPU s", "peak MiB"], cells))
    if options.json:
        about = {"objects": options.objects, "machine": machine(), "versions": versions()}
        options.json.write_text(json.dumps({**about, "rows": rows}, indent=2) + "\n")
    return 0


def run_side(side: str, folder: Path) -> dict[str, Any]:
    # A fresh process each, so that the peak of memory belongs to one side.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(measure, side, folder).result()


def measure(side: str, folder: Path) -> dict[str, Any]:
    began, before = time.monotonic(), os.times()
    states = SIDES[side](folder)
    after = os.times()
    return {
        "states": states,
        "wall_s": time.monotonic() - began,
        "cpu_s": after.user + after.system - before.user - before.system,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def count_in_columns(folder: Path) -> Counts:
    free_large_blocks_at_once()
    asked = Columns.from_tables(SourceObject, read_batches(folder / "asked.parquet"))
    join = CatalogJoin(asked, read_batches(folder / "rows.parquet"))
    rules = Rules(256, 0.01, lambda digest: digest[:DIGITS])
    state = _states(join, _fingerprints(join.known_sha256({}), rules), rules)
    return dict(sorted(Counter(State(value).name for value in state.tolist()).items()))


def read_batches(path: Path) -> Iterator[pyarrow.Table]:
    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH):
            yield pyarrow.Table.from_batches([batch])


def count_in_polars(folder: Path) -> Counts:
    polars = import_module("polars")
    asked, rows = (polars.scan_parquet(folder / f"{name}.parquet") for name in ("asked", "rows"))
    col, lit = polars.col, polars.lit
    # With plain equality null = null is unknown; here it means unchanged.
    same = [col(name).eq_missing(col(f"{name}_row")) for name in SOURCE_COLUMNS]
    settled = ~col("outcome").is_in(sorted(RETRIED)) & (col("fingerprint") == col("sha256").str.slice(0, DIGITS))
    ended = polars.when(col("outcome") == str(Outcome.OK)).then(lit("KEPT")).otherwise(lit("ENDED"))
    judged = (
        asked.join(rows, on="uid", how="left", suffix="_row")
        .with_columns(~polars.all_horizontal(same).alias("restated"))
        .with_columns(polars.when(settled.fill_null(value=False)).then(ended).otherwise(lit("RENDER")).alias("state"))
        .select("uid", "state", "restated", "shard")
        .collect(engine="streaming")
    )
    return dict(sorted(judged["state"].value_counts().iter_rows()))


SIDES: dict[str, Callable[[Path], Counts]] = {"our columns": count_in_columns, "Polars": count_in_polars}


def write_files(folder: Path, objects: int) -> None:
    """Write the requests and the catalogue's rows, with values as long as Objaverse's."""
    kinds = {"asked": SourceObject, "rows": ObjectRow}
    writers = {name: parquet.ParquetWriter(folder / f"{name}.parquet", schema(kind)) for name, kind in kinds.items()}
    for start in range(0, objects, BATCH):
        numbers = range(start, min(objects, start + BATCH))
        for name, records in (
            ("asked", [facts(number) | {"sha256": digest(number, number % CHANGED)} for number in numbers]),
            ("rows", [facts(number) | found(number) for number in numbers if number % NEW]),
        ):
            empty = {item: "" if kind == pyarrow.string() else 0 for item, kind in writer_fields(writers[name])}
            writers[name].write_table(pyarrow.Table.from_pylist([empty | one for one in records], writers[name].schema))
    for writer in writers.values():
        writer.close()


def writer_fields(writer: parquet.ParquetWriter) -> Iterator[tuple[str, Any]]:
    return ((field.name, field.type) for field in writer.schema)


def facts(number: int) -> dict[str, Any]:
    return {
        "uid": sha256(f"uid {number}".encode()).hexdigest()[:32],
        "source": "urls",
        "location": f"https://models.example/glbs/{number % 160:03d}/{number:032d}.glb",
        "licence": ("CC-BY-4.0", "CC0-1.0")[number % 2],
        "author": f"author {number % 100_000}",
        "title": f"A model of something, number {number}",
        "page": f"https://models.example/3d-models/{number:032d}",
        "faces": number % 50_000,
    }


def found(number: int) -> dict[str, Any]:
    known = digest(number, 1)
    outcome = Outcome.OK if number % FAILED else Outcome.CORRUPT
    return {"outcome": str(outcome), "sha256": known, "fingerprint": known[:DIGITS], "shard": number // 256}


def digest(number: int, changed: int) -> str:
    return sha256(f"bytes {number}{'' if changed else ' changed'}".encode()).hexdigest()


if __name__ == "__main__":
    raise SystemExit(main())
