"""Export a version for other tools: the released layout of Zero-1-to-3, NeRF's, or a folder for the hub.

Each object, or for the hub each shard, is written atomically. The same export again does only the rest.
"""

import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from base.digest import digest_json
from base.errors import Failure, UsageError
from base.parallel import map_in_threads
from base.progress import Progress
from base.storage import TEMPORARY_PREFIX, Storage, error_path, reason, write_atomically
from pipeline.catalog.faults import count_faults
from pipeline.catalog.rows import SampleLocation
from pipeline.catalog.tables import Catalog
from pipeline.dataset.card import ATTRIBUTION, CARD, PICTURE, attribution_csv, card_picture, card_text
from pipeline.dataset.export_layouts import write_nerf, write_tar, write_zero123
from shards.reader import read_sample
from shards.version import SPLITS, ShardEntry, Version

LAYOUTS = {
    "zero123": "UID/000.png, 000.npy (cam_from_world) … and valid_paths.json, like the released views of Zero-1-to-3",
    "nerf": "UID/000.png … with UID/transforms.json, like NeRF's synthetic scenes (world_from_cam, OpenGL axes)",
    "hf": "WebDataset tars in data/ with a card, for Hugging Face's hub and `datasets`",
}
FOLDERS = {"zero123": write_zero123, "nerf": write_nerf}
MARK, VALID = "export.json", "valid_paths.json"
THREADS = min(8, os.cpu_count() or 1)


@dataclass(frozen=True)
class Choice:
    """The objects to export: among `uids` and in `split`, if given, the first `limit`; 0 means no limit."""

    uids: frozenset[str] | None = None
    split: str | None = None
    limit: int = 0


def choose(version: Version, choice: Choice) -> Version:
    """Return the version with only the chosen objects, `train` first. Raises UsageError for an unknown uid."""
    shards, left = list[ShardEntry](), choice.limit or sum(len(shard.samples) for shard in version.shards)
    for shard in (shard for split in SPLITS if choice.split in (None, split) for shard in version.split(split)):
        wanted = [entry for entry in shard.samples if choice.uids is None or entry.uid in choice.uids][:left]
        # The limit is over all shards, so it falls from shard to shard.
        left -= len(wanted)
        if wanted:
            shards.append(replace(shard, samples=tuple(wanted)))
    # Of the whole version: a uid in the other split exists and is no mistake.
    there = {entry.uid for shard in version.shards for entry in shard.samples}
    for uid in sorted((choice.uids or frozenset()) - there):
        raise UsageError(f"--uids: expected objects of version {version.number}, got {uid!r}")
    if not shards:
        raise UsageError(f"expected objects of version {version.number} to export, found no matching object")
    return replace(version, shards=tuple(shards))


def export(storage: Storage, version: Version, choice: Choice, layout: str, out: Path, progress: Progress) -> None:
    """Write the chosen objects of a version to the folder `out`, in a layout of LAYOUTS.

    Raises UsageError for a folder with other content, Failure for a damaged sample or a full disk.
    """
    part = choose(version, choice)
    try:
        with _lock_folder(out, _mark(part, layout)):
            if layout == "hf":
                _tars(storage, version, part, out, progress)
            else:
                _folders(storage, part, layout, out, progress)
            _write_metadata(storage, part, layout, out)
    except OSError as error:
        raise Failure(f"{error_path(error) or out}: {reason(error)}") from error


def _mark(part: Version, layout: str) -> bytes:
    """Describe the folder's content: equal marks mean equal exports."""
    # Shards by name, which holds their digest: other bytes make another mark.
    objects = [[shard.name, [entry.uid for entry in shard.samples]] for shard in part.shards]
    count = sum(len(shard.samples) for shard in part.shards)
    mark = {"layout": layout, "version": part.number, "objects": count, "digest": digest_json(objects)}
    return f"{json.dumps(mark, indent=2)}\n".encode()


@contextmanager
def _lock_folder(out: Path, mark: bytes) -> Iterator[None]:
    """Lock the folder for this export, and remove unfinished files of a stopped export."""
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / MARK).is_file()):
        raise UsageError(f"{out}: expected an empty folder or one of `zero123 export`, got something else")
    out.mkdir(parents=True, exist_ok=True)
    # Appending never empties a mark that another process is writing.
    with (out / MARK).open("a+b") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failure(f"{out}: expected no other export at work there, found another") from None
        stream.seek(0)
        found = stream.read()
        if found not in (b"", mark):
            raise UsageError(f"{out}: expected an export of {_words(mark)}, got {_words(found)}")
        if not found:
            stream.write(mark)
            stream.flush()
            # A folder with views and an empty mark would be refused after a power cut.
            os.fsync(stream.fileno())
        # Under the lock no export is at work, so these are of a killed process.
        for left in (*out.glob(f"{TEMPORARY_PREFIX}*"), *out.glob(f"data/{TEMPORARY_PREFIX}*")):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        yield


def _words(mark: bytes) -> str:
    try:
        facts = json.loads(mark)
        return f"{facts['objects']} objects of version {facts['version']} as {facts['layout']} ({facts['digest'][:6]})"
    except (ValueError, KeyError, TypeError):
        return "something else"


def _folders(storage: Storage, part: Version, layout: str, out: Path, progress: Progress) -> None:
    locations = [(shard, entry) for shard in part.shards for entry in shard.samples]
    waiting = [location for location in locations if not (out / location[1].uid).is_dir()]
    done = len(locations) - len(waiting)
    with progress.task("export", total=len(locations), unit="objects", done=done) as task:
        for uid in map_in_threads(partial(_folder, storage, layout, out), waiting, THREADS):
            task.advance(1, note=uid)


def _folder(storage: Storage, layout: str, out: Path, location: SampleLocation) -> str:
    """Export an object atomically."""
    shard, entry = location
    temporary = out / f"{TEMPORARY_PREFIX}{entry.uid}-{secrets.token_hex(4)}"
    temporary.mkdir()
    try:
        FOLDERS[layout](read_sample(storage, shard, entry), temporary)
        # A folder under its uid is complete; the next run skips it by its name alone.
        temporary.rename(out / entry.uid)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return entry.uid


def _tars(storage: Storage, version: Version, part: Version, out: Path, progress: Progress) -> None:
    whole = {shard.name: len(shard.samples) for shard in version.shards}
    waiting = [shard for shard in part.shards if not (out / _tar(shard)).is_file()]
    (out / "data").mkdir(exist_ok=True)
    with progress.task("export", total=len(part.shards), unit="shards", done=len(part.shards) - len(waiting)) as task:
        for shard in waiting:
            write_tar(storage, shard, out / _tar(shard), whole=len(shard.samples) == whole[shard.name])
            task.advance(1, note=_tar(shard))


def _tar(shard: ShardEntry) -> str:
    return f"data/{shard.split}-{shard.number:06d}.tar"


def _write_metadata(storage: Storage, part: Version, layout: str, out: Path) -> None:
    """Write the authors of the objects, and the files that list them."""
    uids = [entry.uid for shard in part.shards for entry in shard.samples]
    catalog = Catalog(storage)
    known = catalog.objects(part.number)
    indices = known.indices(sorted(uids))
    indices = indices[indices >= 0]
    write_atomically(out / ATTRIBUTION, "".join(attribution_csv([known.rows(indices)])).encode())
    if layout == "zero123":
        write_atomically(out / VALID, f"{json.dumps(uids, indent=0)}\n".encode())
    if layout == "hf":
        sizes = tuple(replace(shard, bytes=(out / _tar(shard)).stat().st_size) for shard in part.shards)
        write_atomically(out / PICTURE, card_picture(storage, part))
        outcomes, licences = (known.counts(column, indices) for column in ("outcome", "licence"))
        copy = replace(part, shards=sizes)
        settings, faults = catalog.facts(part.number).settings, count_faults(known, indices)
        text = card_text(copy, outcomes, licences, settings, faults, _globs(part.shards))
        # Last, so that a folder with a card is whole.
        write_atomically(out / CARD, text.encode())


def _globs(shards: Sequence[ShardEntry]) -> dict[str, list[str]]:
    there = {shard.split for shard in shards}
    return {split: [f"data/{split}-*.tar"] for split in SPLITS if split in there}
