"""Write shards: a temporary file, flushed, then renamed after its own digest."""

import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from base.digest import sha256_file
from base.errors import Failure
from base.storage import TEMPORARY_PREFIX, Storage, reason
from shards.reader import is_intact
from shards.sample import find_irregular_values, json_signature
from shards.tar import TarWriter
from shards.version import UID, SampleEntry, ShardEntry


def shard_name(split: str, number: int, sha256: str, folder: str = "shards") -> str:
    """Name a shard, relative to the dataset's root."""
    return f"{folder}/{split}-{number:06d}-{sha256[:12]}.tar"


NamedSample = tuple[str, Mapping[str, bytes]]
"""A sample's uid, and its members by suffix."""


def write_shard(storage: Storage, split: str, number: int, samples: Iterable[NamedSample]) -> ShardEntry:
    """Write the shard of `samples`, in ascending order of uid, and return its entry.

    Equal samples give equal bytes and so an equal name. An intact shard of that name is not written again. Raises
    Failure for samples out of order, for facts with other keys or types than the first sample's, and if writing fails.
    """
    return write_samples(storage, split, number, _check_alike(f"{split}-{number:06d}", samples), "shards")


def write_samples(storage: Storage, split: str, number: int, samples: Iterable[NamedSample], folder: str) -> ShardEntry:
    """Write a shard as `write_shard` does, into any folder and without a check of the facts."""
    scratch = storage.local_path(folder) if storage.is_local else Path(tempfile.gettempdir())
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        # In the shards' own folder if it is local, so that the shard can be renamed into place.
        handle, temporary = tempfile.mkstemp(prefix=f"{TEMPORARY_PREFIX}{split}-{number:06d}-", dir=scratch)
    except OSError as error:
        raise Failure(f"could not write shard {split}-{number:06d} in {scratch}: {reason(error)}") from error
    path = Path(temporary)
    try:
        with os.fdopen(handle, "wb") as stream:
            entries = _write_samples(stream, f"{split}-{number:06d}", samples)
            stream.flush()
            # On disk before it has its name: a power cut must not leave an empty shard.
            os.fsync(stream.fileno())
        # mkstemp makes files that only their owner can read.
        path.chmod(0o644)
        sha256 = sha256_file(path)
        name = shard_name(split, number, sha256, folder)
        shard = ShardEntry(name, split, number, path.stat().st_size, sha256, tuple(entries))
        # The name holds the digest, so an existing file of it can only be the same shard or a damaged copy.
        if not is_intact(storage, shard):
            storage.put_file(name, path)
    except OSError as error:
        raise Failure(f"could not write shard {split}-{number:06d} in {scratch}: {reason(error)}") from error
    finally:
        path.unlink(missing_ok=True)
    return shard


def _write_samples(stream: BinaryIO, shard: str, samples: Iterable[NamedSample]) -> list[SampleEntry]:
    sink, entries = TarWriter(stream), list[SampleEntry]()
    for uid, members in samples:
        # A dot in a uid would split the key for webdataset.
        if not UID.fullmatch(uid) or (entries and uid <= entries[-1].uid):
            raise Failure(f"{shard}: {uid}: expected uids of letters, digits, _ and - in ascending order")
        offset, length = sink.add({f"{uid}.{suffix}": data for suffix, data in members.items()})
        entries.append(SampleEntry(uid, offset, length))
    sink.close()
    return entries


def _check_alike(shard: str, samples: Iterable[NamedSample]) -> Iterator[NamedSample]:
    """Yield the samples. Raises Failure unless all facts have the keys and types of the first sample's."""
    shape = None
    for uid, members in samples:
        shape = _check_shape(shard, uid, json.loads(members["json"]), shape)
        yield uid, members


def _check_shape(shard: str, uid: str, facts: Any, shape: Any) -> Any:
    for problem in find_irregular_values(facts):
        raise Failure(f"{shard}: {uid}.json: {problem}")
    signature = json_signature(facts)
    if shape is not None and signature != shape:
        raise Failure(f"{shard}: {uid}.json: expected the keys and types of the sample before it, got others")
    return signature
