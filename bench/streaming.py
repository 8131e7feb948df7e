"""Four ways to read training pairs from the same tars, each measured in its own process.

`ours` is `stream_pairs`. `plain` is webdataset as documented: shuffle, decode, and a transform for every view of a
sample: composite on white, resize, convert to a float tensor. `pillow` is the same with Pillow's compositing instead of
numpy's. `decoder` is webdataset with our own decoder: uint8 RGBA of the drawn views. Each gives every object's six
disjoint pairs with R, T and pose.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from base.measure import tree_memory_mb
from base.seeds import stable_rng
from base.storage import Storage
from geometry.camera import look_at_origin
from geometry.sphere import stratified_block
from shards.arrays import npy_bytes, npz_bytes
from shards.damage import raise_damage
from shards.image import encode_rgba
from shards.plain import plain_dataset
from shards.plan import Visit, draw_pair
from shards.reader import range_reader
from shards.sample import Pairs as StoredPairs
from shards.sample import Sample, facts_json, view_suffix
from shards.settings import StreamSettings
from shards.stream import ImageSource, stream_pairs
from shards.version import SCHEMA, SampleEntry, Version, read_version, version_name
from shards.visits import Share
from shards.write import write_shard
from train.loader import read_rank_pairs

ROOT = Path(__file__).parents[1]
VIEWS, HW, PAIRS = 12, (256, 256), 6
SHUFFLED = 64
FIRST_BATCH = 64
PICTURED = 6
"""The number of objects with pictures of their own. The other objects of a made dataset repeat them."""


def make_dataset(root: Path, shards: int, objects: int) -> None:
    """Write a dataset of textured balls, lit from a corner: about 34 KiB a view, like rendered objects."""
    storage = Storage(root)
    pictures = [[encode_rgba(_ball(number, view)) for view in range(VIEWS)] for number in range(PICTURED)]
    entries = []
    for shard in range(shards):
        samples = ((f"{shard:03d}-{n:04d}", members(shard, n, pictures)) for n in range(objects))
        entries.append(write_shard(storage, "train", shard, samples))
    version = Version(SCHEMA, 1, 0, "0" * 16, VIEWS, HW, tuple(entries))
    storage.write(version_name(1), version.to_json())


def members(shard: int, number: int, pictures: list[list[bytes]]) -> dict[str, bytes]:
    """Return the members of an object's sample by suffix, with the pictures of an entry of `pictures`."""
    rng = stable_rng(0, "cameras", shard, number)
    centres = stratified_block(rng) * rng.uniform(1.5, 2.2, (VIEWS, 1))
    extrinsics = np.stack([look_at_origin(centre) for centre in centres])
    shown = pictures[number % len(pictures)]
    return {
        "json": facts_json({"uid": f"{shard:03d}-{number:04d}"}, {"light": "sun"}),
        "extrinsics.npy": npy_bytes(extrinsics),
        "pairs.npz": npz_bytes(vars(StoredPairs.from_extrinsics(extrinsics, range(VIEWS)))),
        **{view_suffix(view): data for view, data in enumerate(shown)},
    }


def _ball(number: int, view: int) -> np.ndarray:
    rng = stable_rng(0, "ball", number, view)
    y, x = (np.mgrid[: HW[0], : HW[1]] + 0.5) / HW[0] * 2.0 - 1.0
    r2 = (x * x + y * y) / 0.75**2
    shade = np.sqrt(np.clip(1.0 - r2, 0.0, 1.0))
    coarse = Image.fromarray(rng.integers(60, 256, (24, 24, 3), np.uint8)).resize(HW, Image.Resampling.BICUBIC)
    # Noise of half a level makes files as large as those of renders.
    colour = np.asarray(coarse, np.float64) * (0.3 + 0.7 * shade[..., None]) + rng.normal(0.0, 0.45, (*HW, 3))
    alpha = np.clip((1.0 - np.sqrt(r2)) * 96.0, 0.0, 1.0)
    rgba = np.dstack([np.clip(colour, 0, 255), 255 * alpha]).astype(np.uint8)
    return rgba * (rgba[..., 3:] > 0)


def stream_settings(workers: int) -> StreamSettings:
    return StreamSettings(workers=workers, requests=16, patience_s=60.0, cache="", cache_mb=1, damaged_samples=0)


def ours(version: Version, storage: Storage, workers: int) -> Iterator[Any]:
    settings = stream_settings(workers)
    reader = partial(stream_pairs, version, storage, split="train", seed=0, pairs_per_visit=PAIRS, settings=settings)
    return read_rank_pairs(reader, Share(0, 0, 1), workers, raise_damage, print)


def plain(version: Version, storage: Storage, workers: int, on_white: Callable[[Image.Image], Image.Image]) -> Any:
    """webdataset as documented: https://webdataset.github.io/webdataset, with the transform of an image loader."""
    import torch
    import webdataset as wds

    def tensor(image: Image.Image) -> torch.Tensor:
        pixels = np.array(on_white(image).resize(HW[::-1], Image.Resampling.BICUBIC))
        return torch.from_numpy(pixels).permute(2, 0, 1).contiguous().float().div(255) * 2.0 - 1.0

    rng = np.random.default_rng(0)

    def pairs(samples: Any) -> Iterator[dict[str, Any]]:
        for sample in samples:
            views = [tensor(sample[view_suffix(view)]) for view in range(VIEWS)]
            stored = dict(sample["pairs.npz"])
            for source, target in rng.permutation(VIEWS).reshape(PAIRS, 2):
                row = np.flatnonzero((stored["source"] == source) & (stored["target"] == target))[0]
                moved = {name: stored[name][row] for name in ("R", "T", "pose")}
                yield {"source": views[source], "target": views[target], **moved}

    stages = _webdataset(version, storage).shuffle(SHUFFLED).decode("pilrgba").compose(pairs)
    return iter(wds.WebLoader(stages, batch_size=None, num_workers=workers) if workers else stages)


def on_white_in_numpy(image: Image.Image) -> Image.Image:
    values = np.asarray(image, np.float32) / 255.0
    return Image.fromarray(np.uint8((values[..., :3] * values[..., 3:] + 1.0 - values[..., 3:]) * 255.0))


def on_white_in_pillow(image: Image.Image) -> Image.Image:
    white = Image.new("RGB", image.size, (255, 255, 255))
    white.paste(image, mask=image.getchannel("A"))
    return white


def decoder(version: Version, storage: Storage, _workers: int) -> Any:
    source = ImageSource(range_reader(storage), VIEWS, version.hw, tuple(range(VIEWS)))

    def pairs(samples: Any) -> Iterator[Any]:
        for number, raw in enumerate(samples):
            uid = raw["__key__"]
            sample = Sample(
                raw["__url__"], uid, {name: data for name, data in raw.items() if not name.startswith("__")}
            )
            visit = Visit(0, 0, number, version.shards[0], SampleEntry(uid, 0, 0))
            for pair in range(PAIRS):
                yield source.pair(number, sample, *draw_pair(0, visit, pair, source.views(sample)))

    return iter(_webdataset(version, storage).shuffle(SHUFFLED).compose(pairs))


def _webdataset(version: Version, storage: Storage) -> Any:
    return plain_dataset(version, storage, "train", shardshuffle=len(version.shards), seed=0).repeat()


SIDES: dict[str, Callable[[Version, Storage, int], Iterator[Any]]] = {
    "ours": ours,
    "plain": partial(plain, on_white=on_white_in_numpy),
    "pillow": partial(plain, on_white=on_white_in_pillow),
    "decoder": decoder,
}


def run_side(side: str, root: str, images: int, workers: int = 0) -> dict[str, float]:
    """Measure `side` in its own process; see `measure`."""
    line = [sys.executable, "-m", "bench.streaming", side, root, str(images), str(workers)]
    environment = {**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")}
    done = subprocess.run(line, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measure(side: str, root: str, images: int, workers: int) -> dict[str, float]:
    """Measure images per second and per CPU-second after the first batch, seconds until then, and peak memory."""
    import torch

    torch.set_num_threads(1)
    storage = Storage(root)
    version = read_version(storage)
    # Loads the side's libraries, which would otherwise count as its first batch.
    SIDES[side](version, storage, 0)
    began = time.monotonic()
    pairs = SIDES[side](version, storage, workers)
    for _ in islice(pairs, FIRST_BATCH // 2):
        pass
    first_s, before, cpu_s, wall_s = time.monotonic() - began, tree_memory_mb(), time.process_time(), time.monotonic()
    for _ in islice(pairs, images // 2):
        pass
    cpu_s, wall_s = time.process_time() - cpu_s, time.monotonic() - wall_s
    # With workers the memory of all processes counts; without, the system knows the peak.
    peak = max(before, tree_memory_mb()) if workers else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    return {"images_per_s": images / wall_s, "images_per_cpu_s": images / cpu_s, "first_s": first_s, "peak_mb": peak}


if __name__ == "__main__":
    told = measure(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    print(json.dumps(told), flush=True)
    os._exit(0)  # webdataset's loaders need not be waited for
