"""Many pictures by one command: a folder of views for each, one model for all, and a summary at the end."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from app.commands.options import writable_folder
from base.errors import Failure
from base.progress import Progress
from base.storage import write_atomically
from photo.batch import BatchPicture

if TYPE_CHECKING:
    from inference.sample_photo import LoadedModel
    from inference.views_folder import ViewsFolder
    from photo.prepare import Prepared

RECORD = "batch.json"


class PictureWork(Protocol):
    """The work on a picture in its parts; `load` is called once, after the first picture that can be used."""

    def prepare(self, picture: BatchPicture) -> "Prepared":
        """Read and cut out a picture. Raises Failure for a picture that cannot be used."""
        ...

    def load(self) -> "LoadedModel":
        """Load the model. A Failure ends the batch."""
        ...

    def sample(self, model: "LoadedModel", photo: "Prepared", picture: BatchPicture, folder: Path) -> "ViewsFolder":
        """Make the views that the folder lacks. Raises Failure for a picture that the model cannot work on."""
        ...


def run_batch(pictures: Sequence[BatchPicture], out: Path, work: PictureWork, progress: Progress) -> int:
    """Make the missing views of each picture in `out`/name, and batch.json; return the exit code.

    A picture that fails is reported and the others go on: the code is then 1. A model that cannot be loaded, or a full
    disk, ends the batch; the same command goes on with it.
    """
    writable_folder(out)
    model: LoadedModel | None = None
    rows: list[dict[str, Any]] = []
    for number, picture in enumerate(pictures, start=1):
        progress.say(f"picture {number} of {len(pictures)}: {picture.source}")
        try:
            photo = work.prepare(picture)
        except Failure as error:
            rows.append(_failed(picture, error, progress))
            continue
        # Only now: a batch of unusable pictures need not wait for a model.
        model = model or work.load()
        try:
            views = work.sample(model, photo, picture, out / picture.name)
            rows.append({**_about(picture), "outcome": "ok", "views": len(views.plan.jobs())})
        except Failure as error:
            rows.append(_failed(picture, error, progress))
    # At the end, over all pictures: the record of an interrupted batch would look complete.
    write_atomically(out / RECORD, (json.dumps(rows, indent=2, ensure_ascii=False) + "\n").encode())
    failed = [row for row in rows if row["outcome"] == "failed"]
    print(f"{len(rows) - len(failed)} of {len(rows)} pictures sampled: {out}")
    for row in failed:
        print(f"failed: {row['message']}")
    return 1 if failed else 0


def _about(picture: BatchPicture) -> dict[str, Any]:
    return {"image": picture.source, "folder": picture.name}


def _failed(picture: BatchPicture, error: Failure, progress: Progress) -> dict[str, Any]:
    progress.say(str(error))
    return {**_about(picture), "outcome": "failed", "message": str(error)}
