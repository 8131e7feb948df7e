"""Latent shards: the frozen encoders' output for each view, computed once before training.

Each shard of a version has a latent shard with the same objects in the same order, so the plan of an epoch is the same
for both. A latent sample has the image sample's `json`, `extrinsics.npy` and `pairs.npz`. It adds `latents.npy`
(V, C, h, w) float16 and, with a frozen image encoder, `embedding.npy` (V, K, E) float16. `damage.json` describes damage
of the image sample: for a damaged view the numbers are NaN, and a fully damaged sample has no other member. Readers
meet that damage as if they read the pictures. `versions/<n>-latents-<encoder>.json` lists the latent shards; readers
need this file and the version's file.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import PurePosixPath
from typing import Any, Unpack

import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from base.digest import canonical_json
from base.errors import Failure
from base.storage import Missing, Storage
from shards.arrays import npy_bytes
from shards.damage import DamagedSample
from shards.pair import LatentPair, good_drawn_views, pair_facts
from shards.plan import Visit
from shards.reader import ReadRange, read_sample_members
from shards.sample import Sample, view_suffix
from shards.stream import StreamOptions, open_stream
from shards.version import (
    ShardEntry,
    Version,
    check_fields,
    check_range,
    check_ranges,
    check_type,
    object_json,
    parse_shard,
    shard_json,
)

SCHEMA = 1
KEPT = ("json", "extrinsics.npy", "pairs.npz")
LATENTS, EMBEDDING, DAMAGE = "latents.npy", "embedding.npy", "damage.json"
WHOLE = "sample"
"""The key in `damage.json` for a fully damaged sample. The key for a damaged view is its picture's member name."""
DIGEST = re.compile(r"[0-9a-f]{16}")
MAX_LENGTH, MAX_NUMBERS = 1 << 16, 1 << 22
"""Limits for the latents and the embedding of a view: length of an axis, and count of numbers."""


@dataclass(frozen=True)
class Encoder:
    """The encoder behind latents: `digest` of its weights and use, and the shapes of its output for a view.

    `latents` is (C, h, w). `embedding` is (K, E), for K vectors of the image encoder, 0 if that encoder is trained.
    """

    digest: str
    latents: tuple[int, int, int]
    embedding: tuple[int, int]

    def arrays(self, views: int) -> dict[str, tuple[int, ...]]:
        """Return the array members of a sample with `views` views, and their shapes."""
        vectors = {EMBEDDING: (views, *self.embedding)} if self.embedding[0] else {}
        return {LATENTS: (views, *self.latents), **vectors}


@dataclass(frozen=True)
class LatentIndex:
    """The latent shards of a version for an encoder, in the order of the version's shards."""

    schema: int
    version: int
    encoder: Encoder
    shards: tuple[ShardEntry, ...]

    def to_json(self) -> str:
        """Encode the index as a line of JSON."""
        shards = ",".join(map(shard_json, self.shards))
        known = {"encoder": canonical_json(asdict(self.encoder)), "shards": f"[{shards}]"}
        return object_json(self, known) + "\n"

    def replace_shards_of(self, version: Version) -> Version:
        """Return the version with these shards instead of its own. Raises Failure unless they have the same objects."""
        # The plan draws by position in the shards, so another order would give other pairs without an error.
        if [_objects_of(shard) for shard in self.shards] != [_objects_of(shard) for shard in version.shards]:
            raise Failure(
                f"{latents_name(version.number, self.encoder.digest)}: expected the objects of version "
                f"{version.number}, got others; run `zero123 cache` again"
            )
        return replace(version, shards=self.shards)


def _objects_of(shard: ShardEntry) -> tuple[str, int, list[str]]:
    return shard.split, shard.number, [entry.uid for entry in shard.samples]


def latents_name(version: int, digest: str) -> str:
    """Name the index of a version's latent shards, relative to the dataset's root."""
    return f"versions/{version}-latents-{digest}.json"


def latents_folder(digest: str) -> str:
    """Name the folder of an encoder's latent shards, relative to the dataset's root."""
    return f"latents/{digest}"


def read_latent_indexes(storage: Storage, version: Version) -> list[LatentIndex]:
    """Read the indexes of all encoders for a version. Raises Failure for a damaged index."""
    # With the dash: version 1 must not match the latents of version 12.
    names = [name for name in storage.names("versions") if name.startswith(f"versions/{version.number}-latents-")]
    return [parse_latents(storage.read(name), where=f"{storage.root}/{name}") for name in names]


def read_latent_index(storage: Storage, version: Version, digest: str) -> LatentIndex:
    """Read the index of a version's latent shards for an encoder. Raises Failure if it is missing or damaged."""
    name = latents_name(version.number, digest)
    try:
        data = storage.read(name)
    except Missing:
        raise Failure(
            f"{storage.root}: expected cached latents of encoder {digest} for version {version.number}, got nothing; "
            "run `zero123 cache` with the same settings"
        ) from None
    return parse_latents(data, where=f"{storage.root}/{name}")


def record_name(digest: str, shard: ShardEntry) -> str:
    """Name the record of an image shard's latent shard. All versions with the image shard share it."""
    return f"{latents_folder(digest)}/{PurePosixPath(shard.name).stem}.json"


def read_record(storage: Storage, name: str) -> ShardEntry | None:
    """Read the latent shard in a record; None without a record. Raises Failure for a damaged record."""
    if not storage.exists(name):
        return None
    where = f"{storage.root}/{name}"
    try:
        shard = parse_shard(json.loads(storage.read(name)))
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise Failure(f"{where}: expected a latent shard's record, got: {error}; remove it") from None
    _check_shard(shard, str(PurePosixPath(name).parent), where)
    return shard


def find_unneeded_latents(storage: Storage, kept: Sequence[Version]) -> list[str]:
    """Find the latent shards, records and indexes that are not needed by the `kept` versions."""
    numbers = {str(version.number) for version in kept}
    lists = [name for name in storage.names("versions") if "-latents-" in name]
    old = [name for name in lists if PurePosixPath(name).name.partition("-")[0] not in numbers]
    stems = {PurePosixPath(shard.name).stem for version in kept for shard in version.shards}
    # Tars are listed first: a shard in the making gets its record after its tar, so its tar is never unlisted here.
    tars = {name for name in storage.names("latents") if name.endswith(".tar")}
    records = [name for name in storage.names("latents") if name.endswith(".json")]
    gone = [name for name in records if PurePosixPath(name).stem not in stems]
    entries = [entry for name in records if name not in gone and (entry := read_record(storage, name)) is not None]
    listed = [
        shard for version in kept for latents in read_latent_indexes(storage, version) for shard in latents.shards
    ]
    return [*old, *gone, *sorted(tars - {shard.name for shard in (*entries, *listed)})]


def parse_latents(data: bytes, *, where: str) -> LatentIndex:
    """Parse an index from JSON bytes. Raises Failure, beginning with `where`, for anything else."""
    try:
        got = check_fields(LatentIndex, json.loads(data))
        shapes = check_fields(Encoder, got["encoder"])
        channels, height, width = _lengths(shapes["latents"], "latents")
        vectors, numbers = _lengths(shapes["embedding"], "embedding")
        encoder = Encoder(check_type(str, shapes["digest"], "digest"), (channels, height, width), (vectors, numbers))
        shards = tuple(parse_shard(item) for item in check_type(list, got["shards"], "shards"))
        found = LatentIndex(**{**got, "encoder": encoder, "shards": shards})
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise Failure(f"{where}: expected a list of latent shards, got a file with a mistake: {error}") from None
    if found.schema != SCHEMA or not DIGEST.fullmatch(found.encoder.digest):
        raise Failure(f"{where}: expected schema {SCHEMA} and an encoder's digest, got {found.schema}")
    for shard in found.shards:
        _check_shard(shard, latents_folder(found.encoder.digest), where)
    return found


def _check_shard(shard: ShardEntry, folder: str, where: str) -> None:
    # Names are paths, and the file may be hostile.
    if not re.fullmatch(rf"{re.escape(folder)}/(train|val)-[0-9]{{6,}}-[0-9a-f]{{12}}\.tar", shard.name):
        raise Failure(f"{where}: expected {folder}/<split>-<number>-<digest>.tar, got {shard.name!r}")
    check_ranges(shard, where)


def check_latents(sample: Sample, encoder: Encoder, views: int) -> None:
    """Read every part once. Raises DamagedSample for the first that is missing, unexpected or wrong."""
    for damage in read_damages(sample).values():
        problem = f".{DAMAGE}: expected latents of a sound sample, got those of {damage}"
        raise DamagedSample(sample.shard, sample.uid, problem)
    arrays = encoder.arrays(views)
    sample.check_members({*KEPT, *arrays})
    sample.check_count(views)
    _ = sample.pairs
    for suffix, shape in arrays.items():
        if not np.isfinite(sample.array(suffix, shape, np.float16)).all():
            raise _not_finite(sample, suffix)


def _not_finite(sample: Sample, suffix: str) -> DamagedSample:
    return DamagedSample(sample.shard, sample.uid, f".{suffix}: expected finite numbers, got infinite or none")


def _lengths(value: Any, what: str) -> list[int]:
    lengths = [check_range(0, length, MAX_LENGTH, what) for length in check_type(list, value, what)]
    check_range(0, math.prod(lengths), MAX_NUMBERS, what)
    return lengths


def damage_members(damages: Mapping[str, DamagedSample]) -> dict[str, bytes]:
    """Encode the damages of an image sample, by damaged part, as the member `damage.json`."""
    listed = {part: [damage.shard, damage.problem] for part, damage in damages.items()}
    return {DAMAGE: canonical_json(listed).encode()} if listed else {}


def read_damages(sample: Sample) -> dict[str, DamagedSample]:
    """Read the damages that `damage_members` encoded. Raises DamagedSample for an invalid `damage.json`."""
    if DAMAGE not in sample.members:
        return {}
    try:
        told = check_type(dict, json.loads(sample.members[DAMAGE]), DAMAGE)
        named = {
            part: [check_type(str, word, part) for word in check_type(list, words, part)]
            for part, words in told.items()
        }
        return {part: DamagedSample(shard, sample.uid, problem) for part, (shard, problem) in named.items()}
    except (TypeError, ValueError, RecursionError) as error:
        raise DamagedSample(
            sample.shard, sample.uid, f".{DAMAGE}: expected the damages of a sample, got: {error}"
        ) from None


def check_encoded(sample: Sample, *parts: str) -> None:
    """Raise the image sample's DamagedSample if any of these parts could not be encoded."""
    damages = read_damages(sample)
    for part in parts:
        if part in damages:
            raise damages[part]


def latent_members(
    sample: Sample,
    latents: Float32[NDArray[np.float32], "V C h w"],
    embedding: Float32[NDArray[np.float32], "V K E"] | None,
    damages: Mapping[int, DamagedSample],
) -> dict[str, bytes]:
    """Make the members of a latent sample. The latents of views with `damages` are replaced by NaN.

    Raises DamagedSample for latents beyond the range of float16.
    """
    arrays = {LATENTS: latents} | ({} if embedding is None else {EMBEDDING: embedding})
    halves = {suffix: array.astype(np.float16) for suffix, array in arrays.items()}
    for suffix, array in halves.items():
        if not np.isfinite(array).all():
            raise _not_finite(sample, suffix)
        # After the check, which would refuse these. NaN, because a reader must not take a damaged view for a black one.
        array[list(damages)] = np.nan
    kept = {suffix: sample.members[suffix] for suffix in KEPT}
    damage = damage_members({view_suffix(view): damage for view, damage in damages.items()})
    return {**kept, **{suffix: npy_bytes(array) for suffix, array in halves.items()}, **damage}


def stream_latents(
    version: Version, latents: LatentIndex, storage: Storage, **reading: Unpack[StreamOptions]
) -> Iterator[LatentPair]:
    """Stream the pairs of `shards.stream.stream_pairs` with cached latents instead of pictures."""
    return open_stream(
        latents.replace_shards_of(version),
        storage,
        lambda ranges, drawn: LatentSource(ranges, version.views, latents.encoder, drawn),
        **reading,
    )


@dataclass(frozen=True)
class LatentSource:
    """Makes pairs of latents from samples with `count` views. Only views in `drawn` are used."""

    ranges: ReadRange
    count: int
    encoder: Encoder
    drawn: tuple[int, ...]

    def fetch(self, visit: Visit) -> Sample:
        """Read the sample of a visit. Raises DamagedSample if its image sample could not be encoded."""
        sample = Sample(visit.shard.name, visit.entry.uid, read_sample_members(self.ranges, visit.shard, visit.entry))
        check_encoded(sample, WHOLE)
        return sample

    def views(self, sample: Sample) -> tuple[int, ...]:
        """Return the good views to draw pairs from."""
        return good_drawn_views(sample, self.drawn, self.count)

    def pair(self, number: int, sample: Sample, source: int, target: int) -> LatentPair:
        """Make a pair of the latents of two views."""
        facts = pair_facts(number, sample, source, target)
        # Only now: a sample with a damaged view still gives pairs of its other views, as with pictures.
        check_encoded(sample, view_suffix(source), view_suffix(target))
        latents = sample.array(LATENTS, (self.count, *self.encoder.latents), np.float16)
        embedding: NDArray[Any] = np.zeros((self.count, *self.encoder.embedding), np.float16)
        if embedding.size:
            embedding = sample.array(EMBEDDING, embedding.shape, np.float16)
        return LatentPair(
            **facts,
            source_latents=latents[source],
            target_latents=latents[target],
            embedding=embedding[source],
        )
