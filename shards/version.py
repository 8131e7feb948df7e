"""A version of a dataset: which shards it has and where each sample stands in them; all that a reader needs."""

import json
import re
from dataclasses import asdict, dataclass, fields
from pathlib import PurePosixPath
from typing import Any, NamedTuple, TypeVar

from base.digest import canonical_json
from base.errors import Failure
from base.storage import Storage

SCHEMA = 1
SPLITS = ("train", "val")
SHARD_NAME = re.compile(rf"shards/({'|'.join(SPLITS)})-([0-9]{{6,}})-[0-9a-f]{{12}}\.tar")


class SampleEntry(NamedTuple):
    """Where one object stands in its shard: `bytes` from `offset` on are a tar of its members."""

    uid: str
    offset: int
    bytes: int


@dataclass(frozen=True)
class ShardEntry:
    """One shard: `name` relative to the dataset's root, `sha256` of all its `bytes`, and its samples in file order."""

    name: str
    split: str
    number: int
    bytes: int
    sha256: str
    samples: tuple[SampleEntry, ...]


@dataclass(frozen=True)
class Version:
    """A version: every sample has `views` views of `hw` pixels; `parent` is 0 for the first."""

    schema: int
    number: int
    parent: int
    settings_digest: str
    views: int
    hw: tuple[int, int]
    shards: tuple[ShardEntry, ...]

    def split(self, split: str) -> tuple[ShardEntry, ...]:
        """The shards of one split, in the order of their numbers."""
        return tuple(shard for shard in self.shards if shard.split == split)

    def samples(self, split: str) -> int:
        """How many objects a split has."""
        return sum(len(shard.samples) for shard in self.split(split))

    def to_json(self) -> str:
        """The version as one line of JSON; equal versions give equal text."""
        return canonical_json(asdict(self)) + "\n"


def version_name(number: int) -> str:
    """The file of version `number`, relative to the dataset's root."""
    return f"versions/{number}.json"


def version_numbers(storage: Storage) -> list[int]:
    """The numbers of all versions of a dataset, ascending."""
    stems = (PurePosixPath(name).stem for name in storage.names("versions") if name.endswith(".json"))
    return sorted(int(stem) for stem in stems if stem.isdecimal())


def read_version(storage: Storage, number: int | None = None) -> Version:
    """Version `number` of a dataset, the newest when None. Raises Failure when there is none or it is damaged."""
    if number is None:
        numbers = version_numbers(storage)
        if not numbers:
            raise Failure(f"{storage.root}: expected a dataset with at least one version, got none; build it first")
        number = numbers[-1]
    name = version_name(number)
    if not storage.exists(name):
        known = ", ".join(map(str, version_numbers(storage))) or "none"
        raise Failure(f"{storage.root}: expected a version {number}, got only: {known}")
    return parse_version(storage.read(name), where=f"{storage.root}/{name}")


def parse_version(data: bytes, *, where: str) -> Version:
    """The version in JSON bytes. Raises Failure, opening with `where`, for anything that is not one of ours."""
    try:
        version = _version(json.loads(data))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise Failure(f"{where}: expected a dataset version, got a file with a mistake: {error}") from None
    if version.schema != SCHEMA:
        raise Failure(f"{where}: expected schema {SCHEMA}, got {version.schema}")
    for shard in version.shards:
        _check_shard(shard, where)
    return version


T = TypeVar("T")


def _is(kind: type[T], value: Any, what: str) -> T:
    if type(value) is not kind:
        raise TypeError(f"{what}: expected {kind.__name__}, got {type(value).__name__}")
    return value


def _fields(kind: type, value: Any) -> dict[str, Any]:
    """The values of a dataclass's fields: no field more, none less, and those that are int or str of that type."""
    got = _is(dict, value, kind.__name__)
    if set(got) != {field.name for field in fields(kind)}:
        raise ValueError(f"{kind.__name__}: expected {', '.join(f.name for f in fields(kind))}, got {', '.join(got)}")
    plain = {field.name: field.type for field in fields(kind) if field.type in (int, str)}
    return {key: _is(plain[key], item, key) if key in plain else item for key, item in got.items()}


def _version(value: Any) -> Version:
    got = _fields(Version, value)
    height, width = (_is(int, side, "hw") for side in _is(list, got["hw"], "hw"))
    shards = tuple(_shard(item) for item in _is(list, got["shards"], "shards"))
    return Version(**{**got, "hw": (height, width), "shards": shards})


def _shard(value: Any) -> ShardEntry:
    got = _fields(ShardEntry, value)
    samples = []
    for item in _is(list, got["samples"], "samples"):
        uid, offset, length = _is(list, item, "sample")
        samples.append(SampleEntry(_is(str, uid, "uid"), _is(int, offset, "offset"), _is(int, length, "bytes")))
    return ShardEntry(**{**got, "samples": tuple(samples)})


def _check_shard(shard: ShardEntry, where: str) -> None:
    match = SHARD_NAME.fullmatch(shard.name)
    if match is None or match[1] != shard.split or int(match[2]) != shard.number:
        raise Failure(f"{where}: expected shards/<split>-<number>-<digest>.tar, got {json.dumps(shard.name)}")
    if not shard.samples:
        raise Failure(f"{where}: {shard.name}: expected at least one sample, got none")
    for sample in shard.samples:
        if sample.offset < 0 or sample.bytes <= 0 or sample.offset + sample.bytes > shard.bytes:
            raise Failure(f"{where}: {shard.name}: {sample.uid}: expected a range inside the shard")
