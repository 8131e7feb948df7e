"""Pack a shard number: write its samples, from staging and from earlier shards, into a tar per split."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from base.storage import Storage
from pipeline.work.staging import staged_folder
from shards.reader import is_intact, read_sample
from shards.sample import replace_object_facts
from shards.version import SampleEntry, ShardEntry
from shards.write import write_shard


@dataclass(frozen=True)
class Member:
    """An object of a shard: its facts and its views, staged under `fingerprint` or in the shard `kept_in`.

    `former` is true when `kept_in` belongs to a former version.
    """

    uid: str
    split: str
    facts: Mapping[str, str]
    fingerprint: str
    kept_in: ShardEntry | None = None
    entry: SampleEntry | None = None
    former: bool = False


@dataclass(frozen=True)
class PackJob:
    """A shard number to write, with all its members."""

    number: int
    members: tuple[Member, ...]

    @property
    def name(self) -> str:
        """The name of the job in messages."""
        return f"shard number {self.number}"


@dataclass(frozen=True)
class PackResult:
    """The shards written for a number. A split without members has no shard.

    `damaged` names a shard of a former version with changed bytes; nothing was written then.
    """

    number: int
    shards: tuple[ShardEntry, ...]
    damaged: str = ""


Record = Callable[[Path, Mapping[str, str]], dict[str, bytes]]
"""From a staged folder and the facts about its object to the members of a sample: `Stage.record`."""


def pack(storage: Storage, job: PackJob, record: Record) -> PackResult:
    """Write the shards of a number. Raises Failure when a sample cannot be read or a shard cannot be written.

    A shard of a former version is first checked against its digest: it may have changed unnoticed since.
    """
    for shard in {member.kept_in: None for member in job.members if member.former and member.kept_in is not None}:
        if not is_intact(storage, shard):
            return PackResult(job.number, (), shard.name)
    by_split: dict[str, list[Member]] = {}
    # Sorted, so that a shard's bytes do not depend on the order in which its objects ended.
    for member in sorted(job.members, key=lambda member: member.uid):
        by_split.setdefault(member.split, []).append(member)
    shards = (
        write_shard(storage, split, job.number, _samples(storage, group, record)) for split, group in by_split.items()
    )
    return PackResult(job.number, tuple(shards))


def _samples(storage: Storage, members: list[Member], record: Record) -> Iterator[tuple[str, Mapping[str, bytes]]]:
    for member in members:
        if member.kept_in is not None and member.entry is not None:
            # Checked before it is copied: damage must not travel into a shard with a fresh digest.
            sample = read_sample(storage, member.kept_in, member.entry)
            height, width = sample.image(0).shape[:2]
            sample.check(views=len(sample.extrinsics), hw=(height, width))
            # The views stay; licence or title may be newer than the sample.
            yield member.uid, replace_object_facts(sample.members, member.facts)
        else:
            with staged_folder(storage, member.uid, member.fingerprint) as folder:
                yield member.uid, record(folder, member.facts)
