"""Measure the speed of `zero123 benchmark score`: meshes per hour, CPU time of views with LPIPS, and two workers.

python -m bench.evaluate --data SD30 [--objects N] [--rounds N] [--lpips DIR] [--json FILE]

Meshes: the extruded silhouettes of `sd30-mesh`, its variant `sound` alone: volumetric IoU on a grid of 64³, Chamfer
distance of 10,000 points a side. One worker and two take turns, each beginning anew. Views: the input copied under
`sd30-views`, with LPIPS where its weights are given. Reading, aligning and writing are included, predicting is not.
"""

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import replace
from os import times
from pathlib import Path
from typing import Any

from base.progress import SILENT
from base.versions import machine, versions
from evaluation.datasets.open import open_dataset
from evaluation.methods import MESH_METHODS, VIEW_METHODS
from evaluation.picture_metrics import Networks
from evaluation.predicting import PredictionRun, predict_meshes, predict_views
from evaluation.predictions import Method
from evaluation.protocol import Protocol, read_protocol
from evaluation.running import objects_of, score_objects
from evaluation.scoring import ScoringJob
from evaluation.table import markdown_table

WORKERS = (1, 2)

Row = dict[str, Any]


def main() -> int:
    options = _options()
    with tempfile.TemporaryDirectory() as scratch:
        rows = [*measure_meshes(options, Path(scratch)), measure_views(options, Path(scratch))]
    header = ["what", "objects", "workers", "wall s", "CPU-s", "objects per hour", "by CPU-s"]
    cells = [[row["what"], str(row["objects"]), str(row["workers"]), *_numbers(row)] for row in rows]
    print(markdown_table(header, cells))
    gain = rows[0]["wall_s"] / rows[1]["wall_s"]
    cpu_gain = rows[1]["per_hour_by_cpu"] / rows[0]["per_hour_by_cpu"]
    print(f"\ntwo workers are {gain:.2f} times as fast as one, {cpu_gain:.2f} by CPU seconds")
    print(f"seconds are medians of {options.rounds} rounds")
    if options.json:
        about = {"rows": rows, "gain": gain, "cpu_gain": cpu_gain, "machine": machine(), "versions": versions()}
        options.json.write_text(json.dumps(about, indent=2) + "\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="SD-30, or a set in its form")
    parser.add_argument("--objects", type=int, metavar="N", help="the first of each protocol (default: all)")
    parser.add_argument("--rounds", type=int, default=1, metavar="N", help="default: %(default)s")
    parser.add_argument("--lpips", type=Path, metavar="DIR", help="LPIPS as tensors, for the views")
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser.parse_args()


def measure_meshes(options: argparse.Namespace, scratch: Path) -> list[Row]:
    """Score the same meshes by one worker and by two, in turns; return a row for each."""
    protocol = _protocol("sd30-mesh", options)
    protocol = replace(protocol, meshes={"sound": protocol.meshes["sound"]})
    predict_meshes(_prediction(protocol, options, scratch / "meshes"), MESH_METHODS["extrusion"])
    found: dict[int, list[tuple[float, float]]] = {workers: [] for workers in WORKERS}
    for number in range(options.rounds):
        # In turns, so that a slow minute of the machine falls on both.
        for workers in WORKERS:
            # A new folder each time, or finished objects would only be read.
            job = ScoringJob(
                protocol, options.data, scratch / "meshes", Networks(), scratch / f"rows-{number}-{workers}"
            )
            found[workers].append(_score(job, workers))
    return [_row("meshes", protocol, options, workers, seconds) for workers, seconds in found.items()]


def measure_views(options: argparse.Namespace, scratch: Path) -> Row:
    """Score the input copied by one worker."""
    protocol = _protocol("sd30-views", options)
    predict_views(_prediction(protocol, options, scratch / "views"), VIEW_METHODS["input"])
    job = ScoringJob(protocol, options.data, scratch / "views", Networks(options.lpips), scratch / "rows-views")
    what = "views with LPIPS" if options.lpips else "views"
    return _row(what, protocol, options, 1, [_score(job, 1)])


def _protocol(name: str, options: argparse.Namespace) -> Protocol:
    """Read a protocol, reduced to the first objects of those at hand."""
    protocol = read_protocol(name)
    dataset = open_dataset(protocol.data.loader, options.data)
    uids = tuple(uid for uid in protocol.data.objects or dataset.uids() if uid in dataset.uids())[: options.objects]
    return replace(protocol, data=replace(protocol.data, objects=uids))


def _prediction(protocol: Protocol, options: argparse.Namespace, out: Path) -> PredictionRun:
    dataset = open_dataset(protocol.data.loader, options.data)
    return PredictionRun(protocol, dataset, protocol.data.objects, Method(name="bench", frame="world"), out, SILENT)


def _score(job: ScoringJob, workers: int) -> tuple[float, float]:
    """Score everything; return wall and CPU seconds, with those of the workers."""
    wall, cpu = time.monotonic(), sum(times()[:4])
    results = score_objects(job, workers, SILENT)
    if failed := [result.uid for result in results if result.status != "ok"]:
        raise SystemExit(f"expected every object to be measured, got failures: {', '.join(failed)}")
    return time.monotonic() - wall, sum(times()[:4]) - cpu


def _row(
    what: str, protocol: Protocol, options: argparse.Namespace, workers: int, seconds: list[tuple[float, float]]
) -> Row:
    objects = len(objects_of(ScoringJob(protocol, options.data, Path(), Networks(), Path())))
    wall_s, cpu_s = (statistics.median(values) for values in zip(*seconds, strict=True))
    return {
        "what": what, "objects": objects, "workers": workers, "wall_s": wall_s, "cpu_s": cpu_s,
        "per_hour": 3600.0 * objects / wall_s, "per_hour_by_cpu": 3600.0 * objects * workers / cpu_s,
    }  # fmt: skip


def _numbers(row: Row) -> list[str]:
    rates = [f"{row[rate]:,.0f}" for rate in ("per_hour", "per_hour_by_cpu")]
    return [f"{row['wall_s']:.1f}", f"{row['cpu_s']:.1f}", *rates]


if __name__ == "__main__":
    raise SystemExit(main())
