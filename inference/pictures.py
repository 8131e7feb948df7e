"""Pictures as items of a dataset: where they are, and what a list says about them."""

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from base.digest import digest_json, sha256_file
from base.errors import UsageError
from base.parallel import map_in_threads
from base.progress import Progress
from base.text import replace_surrogates
from photo.batch import BatchPicture
from photo.source import is_url
from pipeline.catalog.objects import SourceObject, uid_of

SOURCE = "pictures"
THREADS = 8


def picture_objects(pictures: Iterable[BatchPicture], progress: Progress) -> Iterator[SourceObject]:
    """Yield the pictures of a command line as items; without a digest if the file is unreadable.

    A picture is known by its absolute path, mask and elevation: moved, it is another. Raises UsageError for a URL.
    """
    listed = list(pictures)
    if (url := next((picture.source for picture in listed if is_url(picture.source)), None)) is not None:
        raise UsageError(f"{url}: expected picture files, got a URL: download it first")
    with progress.task("list", total=len(listed), unit="pictures") as task:
        # Digests wait for the disk, and hashing releases Python's lock.
        for item in map_in_threads(_object, listed, THREADS):
            yield item
            task.advance(1, note=item.title)


def picture_sha256(item: SourceObject) -> str:
    """Return the digest of a picture with its mask and elevation. Raises OSError."""
    own = sha256_file(Path(item.location))
    about = about_of(item)
    # The file's own digest alone, where there is nothing else: other tools state it.
    if not about:
        return own
    mask = {"mask": sha256_file(Path(str(about["mask"])))} if "mask" in about else {}
    return digest_json([own, {**about, **mask}], length=64)


def about_of(item: SourceObject) -> dict[str, str | float]:
    """Return what a list says about a picture: its `mask` and `elevation_deg`, as far as there are any."""
    return dict(json.loads(item.about)) if item.about else {}


def _object(picture: BatchPicture) -> SourceObject:
    location = str(Path(picture.source).absolute())
    about: dict[str, str | float] = {}
    if picture.mask is not None:
        about["mask"] = str(picture.mask.absolute())
    if picture.elevation_deg is not None:
        about["elevation_deg"] = picture.elevation_deg
    text = json.dumps(about, sort_keys=True) if about else ""
    item = SourceObject(
        uid=uid_of(Path(location).stem, replace_surrogates(location + text)),
        source=SOURCE,
        location=location,
        title=replace_surrogates(Path(location).stem.replace("_", " ")),
        about=text,
    )
    sha256 = ""
    with suppress(OSError):  # the worker meets the same error, and so this picture ends
        sha256 = picture_sha256(item)
    return SourceObject(**{**vars(item), "sha256": sha256})
