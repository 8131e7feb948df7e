"""Measure streaming: ours against webdataset on the same tars, in useful images per second of a core.

python -m bench.stream [--root DIR] [--images N] [--rounds N] [--no-s3] [--json FILE]

A useful image is a view in a delivered pair: every view of an object once a visit. The sides are described in
bench/streaming.py. They take turns in each round, each in its own process. Ratios are of images per CPU-second, medians
over the rounds. Without --root a dataset is made: 64 objects in 8 shards, 12 views of 256 x 256.
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from base.storage import Storage
from base.versions import machine, versions
from bench.s3 import bucket
from bench.streaming import SIDES, make_dataset, run_side, stream_settings
from evaluation.table import markdown_table

GOALS = {"plain": 3.0, "decoder": 1.0}
LABELS = {
    "ours": "ours",
    "plain": "webdataset as documented",
    "pillow": "the same, composited by Pillow",
    "decoder": "webdataset, our decoder",
}
HEADER = ["", "images per CPU-s", "images per s", "first 64 images s", "peak MB"]
KEYS = ("images_per_cpu_s", "images_per_s", "first_s", "peak_mb")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", metavar="DIR", help="a dataset on disk")
    parser.add_argument("--images", type=int, default=3072, metavar="N", help="of each side in each round")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--no-s3", action="store_true", help="leave out reads from a server")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if options.root is None:
            make_dataset(Path(scratch) / "dataset", shards=8, objects=8)
        result = compare(options.root or f"{scratch}/dataset", options)
    if options.json:
        about = {"machine": machine(), "versions": versions(), "settings": stream_settings(0).model_dump()}
        options.json.write_text(json.dumps({**result, **about}, indent=2) + "\n")
    return 0


def compare(root: str, options: argparse.Namespace) -> dict[str, Any]:
    """Measure all sides, several workers, and reads from a server. Prints the tables."""
    rounds = [{side: run_side(side, root, options.images) for side in SIDES} for _ in range(options.rounds)]
    ratios = {
        side: [one["ours"]["images_per_cpu_s"] / one[side]["images_per_cpu_s"] for one in rounds]
        for side in SIDES
        if side != "ours"
    }
    found = {side: statistics.median(values) for side, values in ratios.items()}
    print(markdown_table(HEADER, [[LABELS[side], *_medians([one[side] for one in rounds])] for side in SIDES]))
    for side, ratio in found.items():
        goal = f" (goal {GOALS[side]:.1f})" if side in GOALS else ""
        low, high = min(ratios[side]), max(ratios[side])
        print(f"ours / {LABELS[side]}: {ratio:.2f} times{goal}, {low:.2f} to {high:.2f} over {options.rounds} rounds")
    places = further(root, options)
    print()
    print(markdown_table(HEADER, [[name, *_medians(told)] for name, told in places.items()]))
    return {"ratio": found["plain"], "ratios": found, "rounds": rounds, "places": places, "images": options.images}


def further(root: str, options: argparse.Namespace) -> dict[str, list[dict[str, float]]]:
    """Measure ours with worker processes, and from an S3 server on loopback."""
    places: dict[str, list[dict[str, float]]] = {}
    for workers in (1, 2):
        told = [run_side("ours", root, options.images, workers) for _ in range(options.rounds)]
        places[f"ours, {workers} worker{'s' * (workers > 1)} (CPU of the rank alone)"] = told
    if options.no_s3:
        return places
    with bucket() as url:
        here, there = Storage(root), Storage(f"{url}/dataset")
        for name in (*here.names("shards"), *here.names("versions")):
            there.write(name, here.read(name))
        places["ours from S3"] = [run_side("ours", there.root, options.images) for _ in range(options.rounds)]
    return places


def _medians(rows: list[dict[str, float]]) -> list[str]:
    values = {key: statistics.median(row[key] for row in rows) for key in KEYS}
    return [f"{values[key]:.2f}" if key == "first_s" else f"{values[key]:,.0f}" for key in KEYS]


if __name__ == "__main__":
    raise SystemExit(main())
