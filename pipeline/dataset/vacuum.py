"""Remove old versions of a dataset, files no kept version needs, and remains of crashes."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from base.storage import Storage, temporary_files
from pipeline.catalog.lease import Lease
from pipeline.catalog.tables import Catalog
from pipeline.dataset.history import list_versions, read_kept_version
from pipeline.work.staging import clear_work, staged_attempts
from shards.latents import find_unneeded_latents
from shards.version import mesh_name, read_version, version_name, version_numbers

TEMPORARY_AGE_S = 86_400.0
"""Temporary files of a builder are garbage after a day. Readers write nothing into a dataset."""


@dataclass(frozen=True)
class VacuumResult:
    """Removed (or removable) versions and files, relative to the dataset's root, and their bytes."""

    versions: tuple[int, ...]
    files: tuple[str, ...]
    bytes: int


def vacuum(storage: Storage, older_than_s: float, lease_s: float, *, dry_run: bool = False) -> VacuumResult:
    """Remove all versions older than `older_than_s`, except the newest, and the files only they need.

    Staged views stay for the next build. The small files of `attempts` are compacted, and removed by a later vacuum.
    Raises Failure during a build.
    """
    if not version_numbers(storage):
        read_version(storage)  # raises the right Failure
    if dry_run:
        return _find_unneeded(storage, older_than_s)
    with Lease(storage, lease_s) as lease:
        Catalog(storage).publish()
        clear_work(storage)
        # Only now: before the lease a builder could still have needed what it finds.
        found = _find_unneeded(storage, older_than_s)
        for name in found.files:
            lease.check()
            storage.remove(name)
        Catalog(storage).compact()
        return found


def _find_unneeded(storage: Storage, older_than_s: float) -> VacuumResult:
    known, now = list_versions(storage), time.time()
    old = tuple(facts.number for facts in known[:-1] if now - facts.at > older_than_s)
    kept = [facts.number for facts in known if facts.number not in old]
    read = [read_kept_version(storage, number) for number in kept]
    needed = {shard.name for version in read for shard in version.shards}
    # Of staged items too: they are packed by the next command.
    staged = (attempt.mesh for attempt in staged_attempts(storage).values() if attempt.mesh)
    meshes = {mesh_name(sha256) for version in read for sha256 in version.meshes} | set(map(mesh_name, staged))
    files = [
        *(version_name(number) for number in old),  # first: a reader of such a version then learns that it is gone
        *find_unneeded_latents(storage, read),
        *(name for name in storage.names("shards") if name not in needed),
        *(name for name in storage.names("meshes") if name not in meshes),
        *Catalog(storage).unneeded_files(kept, older_than_s),
        *_find_leftovers(storage, now),
    ]
    return VacuumResult(old, tuple(files), _bytes(storage, files))


def _find_leftovers(storage: Storage, now: float) -> list[str]:
    if not storage.is_local:
        return []  # object stores have no half-written files
    root = storage.local_path("shards").parent
    left = (path for path in temporary_files(root) if path.is_file())
    return sorted(path.relative_to(root).as_posix() for path in left if now - path.stat().st_mtime > TEMPORARY_AGE_S)


def _bytes(storage: Storage, names: Iterable[str]) -> int:
    return sum(storage.size(name) for name in names)
