"""Measure the CPU cost of cached latents: training images (pairs) per second and core, part by part.

python -m bench.latents [--preset small] [--objects N] [--images N] [--rounds N] [--set KEY=VALUE] [--json FILE]

A dataset of random latents is made, with the preset's objects per shard. It is read as in training: by a single
process; by the preset's workers; and by the workers, collated into batches with their random draws. With workers only
the rank's CPU time counts, because it competes with the training step. Figures are medians over the rounds.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from app.settings import Settings, load_settings
from base.seeds import stable_rng
from base.storage import Storage
from base.versions import machine, versions
from bench.streaming import VIEWS, members
from evaluation.table import markdown_table
from shards.damage import DamageTolerance
from shards.latents import SCHEMA, Encoder, LatentIndex, latent_members, latents_folder, latents_name
from shards.pair import LatentPair, Pair
from shards.sample import Sample
from shards.version import SCHEMA as VERSION_SCHEMA
from shards.version import Version
from shards.visits import Share
from shards.write import NamedSample, write_samples
from train.collate import collate, split_batches
from train.settings import TrainSettings
from train.source import read_training_pairs
from zero123.build import build_pipeline
from zero123.pipeline import Zero123Pipeline

DIGEST = "0" * 16
KEYS = ("images_per_cpu_s", "images_per_s")
HEADER = ["", "images per CPU-s", "images per s"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="small", metavar="NAME")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--objects", type=int, default=96, metavar="N", help="in the dataset")
    parser.add_argument("--images", type=int, default=8192, metavar="N", help="of each part in each round")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    # Random weights: the cost of reading does not depend on them, and nothing is fetched.
    settings = load_settings(None, [options.preset], ["model.weights=null", *options.set])
    # CPU seconds are then those of a single core.
    torch.set_num_threads(1)
    pipeline = build_pipeline(settings.model, 0)
    with tempfile.TemporaryDirectory() as scratch:
        storage = Storage(scratch)
        version = make_latents(storage, settings, pipeline.latent_shape, options.objects)
        rounds = [measure(version, storage, settings.train, pipeline, options.images) for _ in range(options.rounds)]
    medians = {part: {key: statistics.median(one[part][key] for one in rounds) for key in KEYS} for part in rounds[0]}
    print(markdown_table(HEADER, [[part, *(f"{told[key]:,.0f}" for key in KEYS)] for part, told in medians.items()]))
    if options.json:
        about = {"machine": machine(), "versions": versions(), "settings": settings.train.model_dump()}
        options.json.write_text(json.dumps({"parts": medians, "rounds": rounds, **about}, indent=2) + "\n")
    return 0


def make_latents(storage: Storage, settings: Settings, shape: tuple[int, int, int], objects: int) -> Version:
    """Write a version of random latents of `shape`. It has latent shards but no pictures."""
    encoder, each = Encoder(DIGEST, shape, (0, 0)), settings.shards.objects_per_shard
    shards = tuple(
        write_samples(storage, "train", number, _samples(number, min(each, objects - begin), shape), _folder())
        for number, begin in enumerate(range(0, objects, each))
    )
    storage.write(latents_name(1, DIGEST), LatentIndex(SCHEMA, 1, encoder, shards).to_json().encode())
    return Version(VERSION_SCHEMA, 1, 0, DIGEST, VIEWS, settings.model.hw, shards)


def _folder() -> str:
    return latents_folder(DIGEST)


def _samples(shard: int, count: int, shape: tuple[int, int, int]) -> Iterator[NamedSample]:
    for number in range(count):
        uid = f"{shard:03d}-{number:04d}"
        seen = Sample("", uid, members(shard, number, [[]]))
        latents = stable_rng(0, "latents", shard, number).standard_normal((VIEWS, *shape), np.float32)
        yield uid, latent_members(seen, latents, None, {})


def measure(
    version: Version, storage: Storage, settings: TrainSettings, pipeline: Zero123Pipeline, images: int
) -> dict[str, dict[str, float]]:
    """Measure the images per second, and per CPU-second of this process, of each part."""
    workers, at_once = settings.stream.workers, settings.images_at_once

    def read(workers: int) -> Iterator[Pair | LatentPair]:
        stream = settings.stream.model_copy(update={"workers": workers})
        cached = settings.model_copy(update={"cached_latents": True, "stream": stream})
        return read_training_pairs(version, storage, cached, Share(0, 0, 1), lambda: DIGEST, DamageTolerance(0, print))

    batches = (collate(some, pipeline, settings) for some in split_batches(read(workers), at_once, at_once))
    return {
        "read by one process": _rates(read(0), images, 1),
        f"read by {workers} workers, for the rank": _rates(read(workers), images, 1),
        f"batches of {workers} workers' pairs, for the rank": _rates(batches, images, at_once),
    }


def _rates(items: Iterable[Any], images: int, each: int) -> dict[str, float]:
    iterator, count = iter(items), max(1, images // each)
    # Warm-up: workers start and their queues fill.
    for _ in islice(iterator, count // 4 + 1):
        pass
    cpu_s, wall_s = time.process_time(), time.monotonic()
    for _ in islice(iterator, count):
        pass
    cpu_s, wall_s = time.process_time() - cpu_s, time.monotonic() - wall_s
    return {"images_per_cpu_s": count * each / cpu_s, "images_per_s": count * each / wall_s}


if __name__ == "__main__":
    raise SystemExit(main())
