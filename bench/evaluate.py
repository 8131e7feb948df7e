"""Measure the speed of `zero123 benchmark score`: meshes per hour, CPU time of views with LPIPS, and two workers.

python -m bench.evaluate --data SD30 [--objects N] [--rounds N] [--lpips DIR] [--json FILE]

Meshes: the extruded silhouettes of `sd30-mesh`, its variant `sound` alone: volumetric IoU on a grid of 64³, Chamfer
distance of 10,000 points a side. Views: the input copied under `sd30-views`, with LPIPS where its weights are given.
One worker and two take turns, each beginning anew. Reading, aligning and writing are included, predicting is not.

On a machine with other work, compare CPU seconds: they hold the starts of workers, but neither the waiting for other
programs nor that for the last object. A rate by CPU seconds takes each worker to have a core of its own. The serial
share is what this process itself does of the work of two workers.
"""

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import replace
from multiprocessing import forkserver
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
        rows = [*measure_meshes(options, Path(scratch)), *measure_views(options, Path(scratch))]
    header = ["what", "objects", "workers", "wall s", "CPU-s", "objects per hour", "by CPU-s"]
    cells = [[row["what"], str(row["objects"]), str(row["workers"]), *_numbers(row)] for row in rows]
    print(markdown_table(header, cells))
    gains = [_gain(one, two) for one, two in zip(rows[::2], rows[1::2], strict=True)]
    for gain in gains:
        print(
            f"\n{gain['what']}: two workers are {gain['wall']:.2f} times as fast, {gain['cpu']:.2f} by CPU seconds; "
            f"serial share {gain['serial']:.2%}"
        )
    print(f"\nseconds are medians of {options.rounds} rounds")
    if options.json:
        about = {"rows": rows, "gains": gains, "machine": machine(), "versions": versions()}
        options.json.write_text(json.dumps(about, indent=2) + "\n")
    return 0


def _gain(one: Row, two: Row) -> Row:
    cpu = two["per_hour_by_cpu"] / one["per_hour_by_cpu"]
    serial = two["own_cpu_s"] / two["cpu_s"]
    return {"what": one["what"], "wall": one["wall_s"] / two["wall_s"], "cpu": cpu, "serial": serial}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="SD-30, or a set in its form")
    parser.add_argument("--objects", type=int, metavar="N", help="the first of each protocol (default: all)")
    parser.add_argument("--rounds", type=int, default=1, metavar="N", help="default: %(default)s")
    parser.add_argument("--lpips", type=Path, metavar="DIR", help="LPIPS as tensors, for the views")
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser.parse_args()


def measure_meshes(options: argparse.Namespace, scratch: Path) -> list[Row]:
    """Score the same meshes by one worker and by two; return a row for each."""
    protocol = _protocol("sd30-mesh", options)
    protocol = replace(protocol, meshes={"sound": protocol.meshes["sound"]})
    predict_meshes(_prediction(protocol, options, scratch / "meshes"), MESH_METHODS["extrusion"])
    return _in_turns("meshes", protocol, options, scratch / "meshes", Networks())


def measure_views(options: argparse.Namespace, scratch: Path) -> list[Row]:
    """Score the input copied by one worker and by two; return a row for each."""
    protocol = _protocol("sd30-views", options)
    predict_views(_prediction(protocol, options, scratch / "views"), VIEW_METHODS["input"])
    what = "views with LPIPS" if options.lpips else "views"
    return _in_turns(what, protocol, options, scratch / "views", Networks(options.lpips))


def _in_turns(
    what: str, protocol: Protocol, options: argparse.Namespace, predictions: Path, networks: Networks
) -> list[Row]:
    found: dict[int, list[tuple[float, float, float]]] = {workers: [] for workers in WORKERS}
    for number in range(options.rounds):
        # In turns, so that a slow minute of the machine falls on both.
        for workers in WORKERS:
            # New folders each time, or finished objects would only be read.
            rows = predictions.with_name(f"{predictions.name}-rows-{number}-{workers}")
            found[workers].append(_score(ScoringJob(protocol, options.data, predictions, networks, rows), workers))
    return [_row(what, protocol, options, workers, seconds) for workers, seconds in found.items()]


def _protocol(name: str, options: argparse.Namespace) -> Protocol:
    """Read a protocol, reduced to the first objects of those at hand."""
    protocol = read_protocol(name)
    dataset = open_dataset(protocol.data.loader, options.data)
    uids = tuple(uid for uid in protocol.data.objects or dataset.uids() if uid in dataset.uids())[: options.objects]
    return replace(protocol, data=replace(protocol.data, objects=uids))


def _prediction(protocol: Protocol, options: argparse.Namespace, out: Path) -> PredictionRun:
    dataset = open_dataset(protocol.data.loader, options.data)
    return PredictionRun(protocol, dataset, protocol.data.objects, Method(name="bench", frame="world"), out, SILENT)


def _score(job: ScoringJob, workers: int) -> tuple[float, float, float]:
    """Score everything; return wall seconds, CPU seconds with those of the workers, and CPU seconds of this process."""
    wall, own, cpu = time.monotonic(), sum(times()[:2]), sum(times()[:4])
    results = score_objects(job, workers, SILENT)
    if failed := [result.uid for result in results if result.status != "ok"]:
        raise SystemExit(f"expected every object to be measured, got failures: {', '.join(failed)}")
    wall, own = time.monotonic() - wall, sum(times()[:2]) - own
    # The system adds the seconds of the workers and their server to ours once the server has ended.
    forkserver._forkserver._stop()  # type: ignore[attr-defined]
    return wall, sum(times()[:4]) - cpu, own


def _row(
    what: str, protocol: Protocol, options: argparse.Namespace, workers: int, seconds: list[tuple[float, float, float]]
) -> Row:
    objects = len(objects_of(ScoringJob(protocol, options.data, Path(), Networks(), Path())))
    wall_s, cpu_s, own_cpu_s = (statistics.median(values) for values in zip(*seconds, strict=True))
    return {
        "what": what, "objects": objects, "workers": workers, "wall_s": wall_s, "cpu_s": cpu_s, "own_cpu_s": own_cpu_s,
        "per_hour": 3600.0 * objects / wall_s, "per_hour_by_cpu": 3600.0 * objects * workers / cpu_s,
    }  # fmt: skip


def _numbers(row: Row) -> list[str]:
    rates = [f"{row[rate]:,.0f}" for rate in ("per_hour", "per_hour_by_cpu")]
    return [f"{row['wall_s']:.1f}", f"{row['cpu_s']:.1f}", *rates]


if __name__ == "__main__":
    raise SystemExit(main())
