"""A version of a dataset lists its shards and the location of each sample in them. Readers need nothing else."""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import PurePosixPath
from typing import Any, NamedTuple, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from base.digest import canonical_json, digest_json
from base.errors import Failure, UsageError
from base.storage import Missing, Storage

SCHEMA = 1
SPLITS = ("train", "val")
MAX_BYTES = 1 << 62
MAX_NUMBER = 1 << 31
MAX_VIEWS = 999
MAX_EDGE = 4096
UID = re.compile(r"[A-Za-z0-9_-]{1,64}")
SHA256 = re.compile(r"[0-9a-f]{64}")
SETTINGS_DIGEST = re.compile(r"[0-9a-f]{1,64}")
SHARD_NAME = re.compile(rf"shards/({'|'.join(SPLITS)})-([0-9]{{6,}})-[0-9a-f]{{12}}\.tar")


class SampleEntry(NamedTuple):
    """The location of an object in its shard: `bytes` bytes from `offset` on are a tar of its members."""

    uid: str
    offset: int
    bytes: int


class Samples(Sequence[SampleEntry]):
    """The samples of a shard in file order, as columns, which need a quarter of the memory of tuples."""

    __slots__ = ("lengths", "offsets", "uids")

    def __init__(self, uids: NDArray[np.bytes_], offsets: NDArray[np.int64], lengths: NDArray[np.int64]) -> None:
        self.uids, self.offsets, self.lengths = uids, offsets, lengths

    def __len__(self) -> int:
        return len(self.uids)

    @overload
    def __getitem__(self, index: int) -> SampleEntry: ...

    @overload
    def __getitem__(self, index: slice) -> "Samples": ...

    def __getitem__(self, index: int | slice) -> "SampleEntry | Samples":
        if isinstance(index, slice):
            return Samples(self.uids[index], self.offsets[index], self.lengths[index])
        return SampleEntry(self.uids[index].decode(), int(self.offsets[index]), int(self.lengths[index]))

    def __iter__(self) -> Iterator[SampleEntry]:
        # Whole columns at once: an access by index makes a numpy scalar each.
        uids = (uid.decode() for uid in self.uids.tolist())
        return map(SampleEntry, uids, self.offsets.tolist(), self.lengths.tolist())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))


@dataclass(frozen=True)
class ShardEntry:
    """A shard: `name` relative to the dataset's root, length in `bytes`, `sha256`, and samples in file order."""

    name: str
    split: str
    number: int
    bytes: int
    sha256: str
    samples: Sequence[SampleEntry]


@dataclass(frozen=True)
class Version:
    """A version. Every sample has `views` views of `hw` pixels. `parent` is 0 for the first version.

    `meshes` are the SHA-256 of files `meshes/<sha256>.glb`, sorted.
    """

    schema: int
    number: int
    parent: int
    settings_digest: str
    views: int
    hw: tuple[int, int]
    shards: tuple[ShardEntry, ...]
    meshes: tuple[str, ...] = ()

    def split(self, split: str) -> tuple[ShardEntry, ...]:
        """List the shards of a split, in the order of their numbers."""
        return tuple(shard for shard in self.shards if shard.split == split)

    def samples(self, split: str) -> int:
        """Count the objects of a split."""
        return sum(len(shard.samples) for shard in self.split(split))

    @property
    def digest(self) -> str:
        """16 hexadecimal digits that depend on all shards, but not on the dataset's location or other files in it."""
        # Not of the file: a restored version has another number and the same data.
        return digest_json([self.views, self.hw, [[shard.name, shard.sha256] for shard in self.shards]])

    def to_json(self) -> bytes:
        """Encode the version as a line of JSON. Equal versions give equal bytes."""
        # Shards are encoded singly, because a version can list a million samples.
        # Only where there are meshes: versions of renders keep their bytes.
        left_out = () if self.meshes else ("meshes",)
        before, after = object_json(self, {"shards": "[\0]"}, left_out).encode().split(b"\0")
        shards = ((b"," if index else b"") + shard_json(shard).encode() for index, shard in enumerate(self.shards))
        return b"".join([before, *shards, after, b"\n"])


def shard_json(shard: ShardEntry) -> str:
    """Encode a shard as canonical JSON."""
    samples = ",".join(f'["{uid}",{offset},{length}]' for uid, offset, length in shard.samples)
    return object_json(shard, {"samples": f"[{samples}]"})


def object_json(value: Any, known: Mapping[str, str], left_out: Collection[str] = ()) -> str:
    """Encode a dataclass as canonical JSON. The fields in `known` are JSON already."""
    items = {
        item.name: known.get(item.name) or canonical_json(getattr(value, item.name))
        for item in fields(value)
        if item.name not in left_out
    }
    return "{" + ",".join(f'"{name}":{items[name]}' for name in sorted(items)) + "}"


def mesh_name(sha256: str) -> str:
    """Name a mesh's file, relative to the dataset's root."""
    return f"meshes/{sha256}.glb"


def version_name(number: int) -> str:
    """Name the file of version `number`, relative to the dataset's root."""
    return f"versions/{number}.json"


def version_numbers(storage: Storage) -> list[int]:
    """List the numbers of all versions of a dataset, ascending."""
    stems = (PurePosixPath(name).stem for name in storage.names("versions") if name.endswith(".json"))
    return sorted(int(stem) for stem in stems if stem.isdecimal())


def read_version(storage: Storage, number: int | None = None) -> Version:
    """Read version `number` of a dataset, or the newest for None. Raises Failure if it is missing or damaged.

    Raises UsageError if the newest is requested from a web server without listings.
    """
    if number is None:
        number = _newest(storage)
    name = version_name(number)
    try:
        data = storage.read(name)
    except Missing:
        known = ", ".join(map(str, version_numbers(storage))) or "none"
        raise Failure(f"{storage.root}: expected a version {number}, got only: {known}") from None
    return parse_version(data, where=f"{storage.root}/{name}")


def _newest(storage: Storage) -> int:
    numbers = version_numbers(storage)
    if not numbers and storage.is_web:
        raise UsageError(
            f"{storage.root}: expected a server that lists its folders, or the number of a version, got neither; "
            "set train.version or evaluate.version, or give --version"
        )
    if not numbers:
        raise Failure(f"{storage.root}: expected a dataset with at least one version, got nothing; build it first")
    return numbers[-1]


def parse_version(data: bytes, *, where: str) -> Version:
    """Parse a version from JSON bytes. Raises Failure, beginning with `where`, for anything else."""
    try:
        version = _version(json.loads(data))
    # Overflows are of numbers beyond 64 bits, and recursion is of nested brackets: the file may be hostile.
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise Failure(f"{where}: expected a dataset version, got a file with a mistake: {error}") from None
    if version.schema != SCHEMA:
        raise Failure(f"{where}: expected schema {SCHEMA}, got {version.schema}")
    for shard in version.shards:
        _check_shard(shard, where)
    return version


T = TypeVar("T")


def check_type(kind: type[T], value: Any, what: str) -> T:
    """Return `value` if it has exactly this type. Raises TypeError with the name `what`."""
    # Not isinstance: to Python, True is an int.
    if type(value) is not kind:
        raise TypeError(f"{what}: expected {kind.__name__}, got {type(value).__name__}")
    return value


def check_range(least: int, value: Any, most: int, what: str) -> int:
    """Return `value` if it is an int from `least` to `most`. Raises TypeError or ValueError with the name `what`."""
    if not least <= (number := check_type(int, value, what)) <= most:
        raise ValueError(f"{what}: expected {least} to {most}, got {number}")
    return number


def check_hexadecimal(digits: re.Pattern[str], value: Any, what: str) -> str:
    """Return `value` if it is text of these `digits`. Raises TypeError or ValueError with the name `what`."""
    if not digits.fullmatch(text := check_type(str, value, what)):
        raise ValueError(f"{what}: expected hexadecimal digits, got {text[:80]!r}")
    return text


def check_fields(kind: type, value: Any) -> dict[str, Any]:
    """Return `value` if it is a mapping with exactly the fields of `kind`. Checks the types of int and str fields."""
    got = check_type(dict, value, kind.__name__)
    if set(got) != {field.name for field in fields(kind)}:
        raise ValueError(f"{kind.__name__}: expected {', '.join(f.name for f in fields(kind))}, got {', '.join(got)}")
    plain = {field.name: field.type for field in fields(kind) if field.type in (int, str)}
    return {key: check_type(plain[key], item, key) if key in plain else item for key, item in got.items()}


def _version(value: Any) -> Version:
    got = check_fields(Version, {"meshes": [], **check_type(dict, value, "version")})
    check_range(1, got["number"], MAX_NUMBER, "number")
    check_range(0, got["parent"], MAX_NUMBER, "parent")
    check_range(1, got["views"], MAX_VIEWS, "views")
    check_hexadecimal(SETTINGS_DIGEST, got["settings_digest"], "settings_digest")
    height, width = (check_range(1, side, MAX_EDGE, "hw") for side in check_type(list, got["hw"], "hw"))
    shards = tuple(parse_shard(item) for item in check_type(list, got["shards"], "shards"))
    meshes = tuple(check_hexadecimal(SHA256, one, "meshes") for one in check_type(list, got["meshes"], "meshes"))
    return Version(**{**got, "hw": (height, width), "shards": shards, "meshes": meshes})


def parse_shard(value: Any) -> ShardEntry:
    """Parse a shard from a JSON value. Raises TypeError, ValueError or OverflowError for anything else."""
    got = check_fields(ShardEntry, value)
    check_range(0, got["number"], MAX_NUMBER, "number")
    check_range(0, got["bytes"], MAX_BYTES, "bytes")
    check_hexadecimal(SHA256, got["sha256"], "sha256")
    return ShardEntry(**{**got, "samples": _samples(check_type(list, got["samples"], "samples"))})


def _samples(items: list[Any]) -> Samples:
    uids, offsets, lengths = zip(*items, strict=True) if items else ((), (), ())
    for kind, what, values in ((str, "uid", uids), (int, "offset", offsets), (int, "bytes", lengths)):
        # Types by set: a check of each of a million values would be slow.
        for other in set(map(type, values)) - {kind}:
            raise TypeError(f"{what}: expected {kind.__name__}, got {other.__name__}")
    for uid in uids:
        if not UID.fullmatch(uid):
            raise ValueError(f"expected a uid of letters, digits, _ and -, got {uid[:80]!r}")
    return Samples(np.array(uids, np.bytes_), np.array(offsets, np.int64), np.array(lengths, np.int64))


def _check_shard(shard: ShardEntry, where: str) -> None:
    match = SHARD_NAME.fullmatch(shard.name)
    if match is None or (match[1], match[2]) != (shard.split, f"{shard.number:06d}"):
        raise Failure(f"{where}: expected shards/<split>-<number>-<digest>.tar, got {json.dumps(shard.name)}")
    check_ranges(shard, where)


def check_ranges(shard: ShardEntry, where: str) -> None:
    """Raise Failure, beginning with `where`, for a shard without samples or with a sample beyond its end."""
    samples, limit = shard.samples, shard.bytes
    if not isinstance(samples, Samples) or not samples:
        raise Failure(f"{where}: {shard.name}: expected at least one sample, got nothing")
    inside = (samples.offsets >= 0) & (samples.lengths > 0) & (samples.lengths <= limit)
    # Subtracted instead of added: the sum of two hostile numbers could overflow.
    inside &= samples.offsets <= limit - samples.lengths
    if not inside.all():
        uid = samples[int(np.argmin(inside))].uid
        raise Failure(f"{where}: {shard.name}: {uid}: expected a range inside the shard")
