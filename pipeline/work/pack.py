"""Packing one shard number: staged views and samples that stay become the number's tars, one a split."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from base.storage import Storage
from pipeline.work.staging import staged_folder
from shards.reader import is_intact, read_sample
from shards.sample import members_from_views, replace_object_facts
from shards.version import SampleEntry, ShardEntry
from shards.write import write_shard


@dataclass(frozen=True)
class Member:
    """One object of a shard: its facts, and where its views are: staged under `fingerprint`, or in `kept_in`.

    `former` is true when that shard is one of a former version.
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
    """One shard number to be written, with all its members."""

    number: int
    members: tuple[Member, ...]

    @property
    def name(self) -> str:
        """What people know the job by."""
        return f"shard number {self.number}"


@dataclass(frozen=True)
class Packed:
    """The shards that a number has become; a split without members has none.

    `damaged` is the name of a shard of a former version that has other bytes than it had; nothing was written then.
    """

    number: int
    shards: tuple[ShardEntry, ...]
    damaged: str = ""


def pack(storage: Storage, job: PackJob) -> Packed:
    """Write the shards of one number. Raises Failure for a sample that cannot be read or a shard that cannot be
    written; a shard of a former version, which nobody may have looked at since, is read against its digest first."""
    for shard in {member.kept_in: None for member in job.members if member.former and member.kept_in is not None}:
        if not is_intact(storage, shard):
            return Packed(job.number, (), shard.name)
    by_split: dict[str, list[Member]] = {}
    for member in sorted(job.members, key=lambda member: member.uid):
        by_split.setdefault(member.split, []).append(member)
    shards = (write_shard(storage, split, job.number, _samples(storage, group)) for split, group in by_split.items())
    return Packed(job.number, tuple(shards))


def _samples(storage: Storage, members: list[Member]) -> Iterator[tuple[str, Mapping[str, bytes]]]:
    for member in members:
        if member.kept_in is not None and member.entry is not None:
            sample = read_sample(storage, member.kept_in, member.entry)
            height, width = sample.image(0).shape[:2]
            sample.check(views=len(sample.extrinsics), hw=(height, width))
            yield member.uid, replace_object_facts(sample.members, member.facts)
        else:
            with staged_folder(storage, member.uid, member.fingerprint) as folder:
                yield member.uid, members_from_views(folder, member.facts)
