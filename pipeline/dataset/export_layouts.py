"""Write a sample or shard in the layout of another tool. `pipeline.dataset.export` makes the folders."""

import hashlib
import json
import secrets
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from base.errors import Failure
from base.passes import PASS_FILES, pass_file
from base.storage import TEMPORARY_PREFIX, Storage, flush_to_disk
from geometry.camera import Lens
from geometry.transforms import nerf_transforms
from render.run import npy_bytes
from shards.reader import read_sample
from shards.sample import Sample
from shards.tar import TarWriter
from shards.version import ShardEntry

CHUNK_BYTES = 1 << 20


def write_zero123(sample: Sample, folder: Path) -> None:
    """Write NNN.png and NNN.npy (`cam_from_world`, float64 (3, 4)) of each view, and its passes."""
    _pictures(sample, folder)
    for view, cam_from_world in enumerate(sample.extrinsics):
        (folder / f"{view:03d}.npy").write_bytes(npy_bytes(cam_from_world))
    _flush(folder)


def write_nerf(sample: Sample, folder: Path) -> None:
    """Write NNN.png of each view, its passes, and transforms.json."""
    _pictures(sample, folder)
    try:
        facts = sample.facts["render"]
        files = [f"{view:03d}.png" for view in range(len(sample.extrinsics))]
        transforms = nerf_transforms(sample.extrinsics, files, Lens(**facts["lens"]), _hw(facts["hw"]))
    except (KeyError, TypeError, ValueError) as error:
        raise Failure(f"{sample.shard}: {sample.uid}.json: expected size and lens of the views, got: {error}") from None
    (folder / "transforms.json").write_text(f"{json.dumps(transforms, indent=2)}\n", encoding="utf-8")
    _flush(folder)


def write_tar(storage: Storage, shard: ShardEntry, target: Path, *, whole: bool) -> None:
    """Write the shard's samples to a new tar. A `whole` shard is copied byte for byte and checked by digest."""
    temporary = target.with_name(f"{TEMPORARY_PREFIX}{target.name}-{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as stream:
            if whole:
                _copy(storage, shard, stream)
            else:
                _write_samples(storage, shard, stream)
        # Before the rename: after a power cut a file of that name must be whole.
        flush_to_disk(temporary)
        temporary.rename(target)
    finally:
        temporary.unlink(missing_ok=True)


def _hw(sides: list[int]) -> tuple[int, int]:
    height, width = sides
    return height, width


def _pictures(sample: Sample, folder: Path) -> None:
    for view in range(len(sample.extrinsics)):
        Image.fromarray(sample.image(view), "RGBA").save(folder / f"{view:03d}.png")
        for name in sample.passes:
            sample.read_pass(name, view)  # raises for a damaged pass
            (folder / f"{view:03d}.{PASS_FILES[name]}").write_bytes(sample.members[pass_file(view, name)])


def _flush(folder: Path) -> None:
    # The folder too: its own entries are not on disk with the files.
    for path in (*folder.iterdir(), folder):
        flush_to_disk(path)


def _copy(storage: Storage, shard: ShardEntry, stream: BinaryIO) -> None:
    digest = hashlib.sha256()
    with storage.open(shard.name) as source:
        while chunk := source.read(CHUNK_BYTES):
            digest.update(chunk)
            stream.write(chunk)
    if digest.hexdigest() != shard.sha256:
        raise Failure(f"{shard.name}: expected sha256 {shard.sha256}, got {digest.hexdigest()}")


def _write_samples(storage: Storage, shard: ShardEntry, stream: BinaryIO) -> None:
    sink = TarWriter(stream)
    for entry in shard.samples:
        sample = read_sample(storage, shard, entry)
        # Members keep their bytes; only the tar around them is new.
        sink.add({f"{entry.uid}.{suffix}": data for suffix, data in sample.members.items()})
    sink.close()
