"""The second kind of shard: what frozen encoders make of each view, so that training need not make it again.

A latent shard stands beside each shard of a version and holds the same objects in the same order, so that the plan of
an epoch is the same on both. A sample has the image sample's `json`, `extrinsics.npy` and `pairs.npz`, and then
`latents.npy` (V, C, h, w) float16 and, where the image encoder is frozen, `embedding.npy` (V, K, E) float16.
What could not be encoded, for the image sample is damaged, is told in `damage.json`: of a view, whose numbers are then
NaN, or of a whole sample, which then has no other member. A reader meets the damage as one of pictures does.
`versions/<n>-latents-<encoder>.json` lists them; readers need that file and the version's.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import PurePosixPath
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from base.digest import canonical_json
from base.errors import Failure
from base.storage import Missing, Storage
from shards.arrays import npy_bytes
from shards.damage import DamagedSample
from shards.plan import Visit
from shards.read import ReadRange, read_sample_members
from shards.sample import Sample, view_suffix
from shards.stream import StreamOptions, find_pair_row, good_drawn_views, stream_pairs
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
"""Where `damage.json` tells of a whole sample; of a view it tells under the name of the view's picture."""
DIGEST = re.compile(r"[0-9a-f]{16}")
MAX_LENGTH, MAX_NUMBERS = 1 << 16, 1 << 22
"""Of a view's latents and of its embedding: no axis is longer, and none of both has more numbers."""


@dataclass(frozen=True)
class Encoder:
    """What made the latents: `digest` of its weights and of how it was used, and the shapes that it gives a view.

    `latents` is (C, h, w), `embedding` (K, E): K vectors of the image encoder, none where that is trained along.
    """

    digest: str
    latents: tuple[int, int, int]
    embedding: tuple[int, int]

    def arrays(self, views: int) -> dict[str, tuple[int, ...]]:
        """The members that hold what was made of `views` views, and their shapes."""
        vectors = {EMBEDDING: (views, *self.embedding)} if self.embedding[0] else {}
        return {LATENTS: (views, *self.latents), **vectors}


@dataclass(frozen=True)
class LatentIndex:
    """The latent shards of one version for one encoder, in the order of the version's shards."""

    schema: int
    version: int
    encoder: Encoder
    shards: tuple[ShardEntry, ...]

    def to_json(self) -> str:
        """The index as one line of JSON."""
        shards = ",".join(map(shard_json, self.shards))
        known = {"encoder": canonical_json(asdict(self.encoder)), "shards": f"[{shards}]"}
        return object_json(self, known) + "\n"

    def replace_shards_of(self, version: Version) -> Version:
        """The version with its shards replaced by these. Raises Failure where they do not hold the same objects."""
        if [_held(shard) for shard in self.shards] != [_held(shard) for shard in version.shards]:
            raise Failure(
                f"{latents_name(version.number, self.encoder.digest)}: expected the objects of version "
                f"{version.number}, got others; run `zero123 cache` again"
            )
        return replace(version, shards=self.shards)


def _held(shard: ShardEntry) -> tuple[str, int, list[str]]:
    return shard.split, shard.number, [entry.uid for entry in shard.samples]


def latents_name(version: int, digest: str) -> str:
    """The file that lists a version's latent shards, relative to the dataset's root."""
    return f"versions/{version}-latents-{digest}.json"


def latents_folder(digest: str) -> str:
    """Where the latent shards of an encoder lie, relative to the dataset's root."""
    return f"latents/{digest}"


def read_latent_indexes(storage: Storage, version: Version) -> list[LatentIndex]:
    """What is listed for a version, of every encoder. Raises Failure for a list that is damaged."""
    names = [name for name in storage.names("versions") if name.startswith(f"versions/{version.number}-latents-")]
    return [parse_latents(storage.read(name), where=f"{storage.root}/{name}") for name in names]


def read_latent_index(storage: Storage, version: Version, digest: str) -> LatentIndex:
    """The latent shards of a version for an encoder. Raises Failure when there are none or the file is damaged."""
    name = latents_name(version.number, digest)
    try:
        data = storage.read(name)
    except Missing:
        raise Failure(
            f"{storage.root}: expected cached latents of encoder {digest} for version {version.number}, got none; "
            "run `zero123 cache` with the same settings"
        ) from None
    return parse_latents(data, where=f"{storage.root}/{name}")


def record_name(digest: str, shard: ShardEntry) -> str:
    """The file that says which latent shard an image shard has; another version with that shard needs no other."""
    return f"{latents_folder(digest)}/{PurePosixPath(shard.name).stem}.json"


def read_record(storage: Storage, name: str) -> ShardEntry | None:
    """The latent shard that a record tells of; None when there is no record. Raises Failure for a damaged one."""
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
    """The latent shards, records and lists that no version among `kept` needs."""
    numbers = {str(version.number) for version in kept}
    lists = [name for name in storage.names("versions") if "-latents-" in name]
    old = [name for name in lists if PurePosixPath(name).name.partition("-")[0] not in numbers]
    stems = {PurePosixPath(shard.name).stem for version in kept for shard in version.shards}
    # Tars first: the record of one that is being made comes after it.
    tars = {name for name in storage.names("latents") if name.endswith(".tar")}
    records = [name for name in storage.names("latents") if name.endswith(".json")]
    gone = [name for name in records if PurePosixPath(name).stem not in stems]
    entries = [entry for name in records if name not in gone and (entry := read_record(storage, name)) is not None]
    listed = [
        shard for version in kept for latents in read_latent_indexes(storage, version) for shard in latents.shards
    ]
    return [*old, *gone, *sorted(tars - {shard.name for shard in (*entries, *listed)})]


def parse_latents(data: bytes, *, where: str) -> LatentIndex:
    """The index in JSON bytes. Raises Failure, opening with `where`, for anything that is not one of ours."""
    try:
        got = check_fields(LatentIndex, json.loads(data))
        told = check_fields(Encoder, got["encoder"])
        channels, height, width = _lengths(told["latents"], "latents")
        vectors, numbers = _lengths(told["embedding"], "embedding")
        encoder = Encoder(check_type(str, told["digest"], "digest"), (channels, height, width), (vectors, numbers))
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
            raise _no_numbers(sample, suffix)


def _no_numbers(sample: Sample, suffix: str) -> DamagedSample:
    return DamagedSample(sample.shard, sample.uid, f".{suffix}: expected finite numbers, got infinite or none")


def _lengths(value: Any, what: str) -> list[int]:
    lengths = [check_range(0, length, MAX_LENGTH, what) for length in check_type(list, value, what)]
    check_range(0, math.prod(lengths), MAX_NUMBERS, what)
    return lengths


def damage_members(damages: Mapping[str, DamagedSample]) -> dict[str, bytes]:
    """The member that tells of the damages of one image sample, by the part that each makes unreadable."""
    told = {part: [damage.shard, damage.problem] for part, damage in damages.items()}
    return {DAMAGE: canonical_json(told).encode()} if told else {}


def read_damages(sample: Sample) -> dict[str, DamagedSample]:
    """What `damage_members` has told of a latent sample. Raises DamagedSample for anything else in its place."""
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
    """Raise DamagedSample as the image sample did where one of these parts could not be encoded."""
    damages = read_damages(sample)
    for part in parts:
        if part in damages:
            raise damages[part]


def latent_members(
    sample: Sample,
    latents: NDArray[np.float32],
    embedding: NDArray[np.float32] | None,
    damages: Mapping[int, DamagedSample],
) -> dict[str, bytes]:
    """The members of the latent sample of an object; what is given for views that have `damages` is left out.

    Raises DamagedSample for latents that float16 cannot hold.
    """
    arrays = {LATENTS: latents} | ({} if embedding is None else {EMBEDDING: embedding})
    halves = {suffix: array.astype(np.float16) for suffix, array in arrays.items()}
    for suffix, array in halves.items():
        if not np.isfinite(array).all():
            raise _no_numbers(sample, suffix)
        array[list(damages)] = np.nan
    kept = {suffix: sample.members[suffix] for suffix in KEPT}
    told = damage_members({view_suffix(view): damage for view, damage in damages.items()})
    return {**kept, **{suffix: npy_bytes(array) for suffix, array in halves.items()}, **told}


@dataclass(frozen=True)
class LatentPair:
    """A training pair whose views are latents (C, h, w) float16; otherwise as `shards.stream.Pair`.

    `embedding` (K, E) holds the image encoder's vectors of the input view; K is 0 where that encoder is trained along.
    """

    number: int
    uid: str
    source: int
    target: int
    source_latents: NDArray[np.float16]
    target_latents: NDArray[np.float16]
    embedding: NDArray[np.float16]
    R: NDArray[np.float64]
    T: NDArray[np.float64]
    pose: NDArray[np.float64]
    source_polar_rad: float


def read_latents(
    version: Version, latents: LatentIndex, storage: Storage, **reading: Unpack[StreamOptions]
) -> Iterator[LatentPair]:
    """The pairs that `shards.stream.read` gives for the same arguments, their views as cached latents."""
    return stream_pairs(
        latents.replace_shards_of(version),
        storage,
        lambda ranges, drawn: LatentSource(ranges, version.views, latents.encoder, drawn),
        **reading,
    )


@dataclass(frozen=True)
class LatentSource:
    """Pairs of latents out of samples of `count` views, drawn among `drawn`."""

    ranges: ReadRange
    count: int
    encoder: Encoder
    drawn: tuple[int, ...]

    def fetch(self, visit: Visit) -> Sample:
        """The sample of a visit; only that its members are its own, and made of a sample, is checked here."""
        sample = Sample(visit.shard.name, visit.entry.uid, read_sample_members(self.ranges, visit.shard, visit.entry))
        check_encoded(sample, WHOLE)
        return sample

    def views(self, sample: Sample) -> tuple[int, ...]:
        """Those of the drawn views that are good in this object."""
        return good_drawn_views(sample, self.drawn, self.count)

    def pair(self, number: int, sample: Sample, source: int, target: int) -> LatentPair:
        """The pair of two views."""
        row = find_pair_row(sample, source, target)
        check_encoded(sample, view_suffix(source), view_suffix(target))
        latents = sample.array(LATENTS, (self.count, *self.encoder.latents), np.float16)
        embedding: NDArray[Any] = np.zeros((self.count, *self.encoder.embedding), np.float16)
        if embedding.size:
            embedding = sample.array(EMBEDDING, embedding.shape, np.float16)
        return LatentPair(
            number=number,
            uid=sample.uid,
            source=source,
            target=target,
            source_latents=latents[source],
            target_latents=latents[target],
            embedding=embedding[source],
            R=sample.pairs.R[row],
            T=sample.pairs.T[row],
            pose=sample.pairs.pose[row],
            source_polar_rad=sample.polar_rad[source],
        )
