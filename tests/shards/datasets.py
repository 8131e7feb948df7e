"""Small datasets of generated views, written by the real writer."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from base.seeds import stable_rng
from base.storage import Storage
from geometry.camera import look_at_origin
from geometry.sphere import stratified_block
from shards.image import encode_rgba
from shards.reader import read_shard
from shards.sample import members_from_views, view_suffix
from shards.tar import TarWriter
from shards.version import SCHEMA, SampleEntry, Version, read_version
from shards.write import write_shard

VIEWS, HW = 12, (16, 16)


def make_views(folder: Path, uid: str) -> Path:
    """A folder as render/ leaves it: 12 views of a coloured square, drawn from the uid."""
    rng = stable_rng(0, "views", uid)
    centres = stratified_block(rng) * rng.uniform(1.5, 2.2, (VIEWS, 1))
    folder.mkdir(parents=True)
    np.save(folder / "extrinsics.npy", np.stack([look_at_origin(centre) for centre in centres]))
    (folder / "views.json").write_text(json.dumps({"light": "sun", "radius": [float(np.linalg.norm(centres[0]))]}))
    for view in range(VIEWS):
        rgba = np.zeros((*HW, 4), np.uint8)
        rgba[4:12, 4:12] = (*rng.integers(0, 256, 3), 255)
        rgba[4:12, 4, 3] = view + 1
        (folder / view_suffix(view)).write_bytes(encode_rgba(rgba))
    return folder


def make_version(storage: Storage, scratch: Path, counts: list[int], split: str = "train") -> Version:
    """A version whose shards hold `counts` objects each."""
    shards = []
    for number, count in enumerate(counts):
        uids = [f"object-{number}-{index:03d}" for index in range(count)]
        samples = [
            (uid, members_from_views(make_views(scratch / uid, uid), {"uid": uid, "licence": "CC0-1.0"}))
            for uid in uids
        ]
        shards.append(write_shard(storage, split, number, samples))
    return Version(SCHEMA, 1, 0, "0" * 16, VIEWS, HW, tuple(shards))


def damaged(
    version: Version, storage: Storage, there: Storage, uid: str, change: Callable[[dict[str, bytes]], object]
) -> Version:
    """A version copied under the shards' old names, the members of one sample changed by suffix, the index fitting."""
    shards = []
    for shard in version.shards:
        stream, entries = io.BytesIO(), []
        sink = TarWriter(stream)
        for sample in read_shard(storage, shard):
            members = dict(sample.members)
            if sample.uid == uid:
                change(members)
            placed = sink.add({f"{sample.uid}.{suffix}": data for suffix, data in members.items()})
            entries.append(SampleEntry(sample.uid, *placed))
        sink.close()
        there.write(shard.name, stream.getvalue())
        shards.append(replace(shard, bytes=len(stream.getvalue()), samples=tuple(entries)))
    return replace(version, shards=tuple(shards))


def spoilt(storage: Storage, root: Path, split: str, change: Callable[[dict[str, bytes]], None]) -> Storage:
    """A copy of a dataset, the first sample of `split` changed, the index as if it had always been so."""
    version, there = read_version(storage), Storage(root)
    written = []
    for shard in version.shards:
        samples = [(sample.uid, dict(sample.members)) for sample in read_shard(storage, shard)]
        if shard.split == split:
            change(samples[0][1])
        written.append(write_shard(there, shard.split, shard.number, samples))
    there.write("versions/1.json", replace(version, shards=tuple(written)).to_json())
    return there
