"""Checks of settings, dataset and ranks before the first step."""

from pathlib import Path
from typing import Any

from base.errors import UsageError
from base.retry import Retry
from base.storage import Storage
from shards.version import Version, read_version
from train.settings import TrainSettings
from train.state import Position
from zero123.settings import ModelSettings

FREE_TO_CHANGE: dict[str, Any] = {
    **dict.fromkeys(("version", "device", "threads", "images", "images_at_once", "latent_memo_mb", "stream"), True),
    **dict.fromkeys(("validation", "log", "log_every_images", "wait_minutes", "ray"), True),
    **dict.fromkeys(("checkpoint_every_images", "keep_checkpoints", "upload"), True),
    "compute": {"channels_last", "compile", "gradient_checkpointing", "ahead"},
}
"""Settings that a resumed run may change, because they do not change what is learnt from an image.

`images` is fixed if the rate falls to 0 at the last image: see `fixed_settings`. `version` has its own check, because a
run that began with the newest version may name it later.
"""


def fixed_settings(model: ModelSettings, settings: TrainSettings) -> dict[str, Any]:
    """Return the settings that a run keeps to its end. With a falling rate, the last image is among them."""
    # The cosine ends there, so another last image would be another rate at every step.
    last = {"images": settings.images if settings.optimiser.decay == "cosine" else None}
    train = settings.model_dump(mode="json", exclude=FREE_TO_CHANGE) | last
    return {"model": model.model_dump(mode="json"), "train": train}


def select_version(
    storage: Storage, settings: TrainSettings, began: Position | None, out: Path, retry: Retry
) -> Version:
    """Read the dataset's version for a run: the version that it `began` with, or the version in the settings.

    Raises UsageError if the run in `out` began with another version, or with other shards under the same number.
    """
    if began is None:
        return retry.call(lambda: read_version(storage, settings.version or None))
    if settings.version:
        check_unchanged(began.version, settings.version, out, "train.version")
    # The old version, although a newer may exist: the position counts pairs of this order.
    version = retry.call(lambda: read_version(storage, began.version))
    # A number says little: a dataset built anew in another folder begins with version 1 too.
    if began.dataset not in ("", version.digest):
        raise UsageError(
            f"storage.root: expected the dataset with which the run in {out} began, got other shards in version "
            f"{version.number} of {storage.root}; use another folder"
        )
    return version


def check_dataset(version: Version, model: ModelSettings, settings: TrainSettings) -> None:
    """Raise UsageError unless the dataset has the model's view size and enough views beside the held-out views.

    Also for a loss that this model cannot have.
    """
    if tuple(version.hw) != tuple(model.hw):
        raise UsageError(f"model.hw: expected the dataset's view size {list(version.hw)}, got {list(model.hw)}")
    if settings.picture_loss and not model.zero_terminal_snr:
        # Otherwise the last timestep still shows the target, and its x_0 would be divided by a small α.
        raise UsageError("train.picture_loss: expected model.zero_terminal_snr true, got false")
    # Two views make a pair.
    left = version.views - settings.held_out_views
    if left < 2:
        raise UsageError(
            f"train.held_out_views: expected at least 2 of the dataset's {version.views} views to be left, "
            f"got {settings.held_out_views} held out"
        )
    if settings.pairs_per_visit > left // 2:
        raise UsageError(
            f"train.pairs_per_visit: expected at most {left // 2}, the disjoint pairs of the {left} views that are "
            f"drawn, got {settings.pairs_per_visit}"
        )


def check_ranks(settings: TrainSettings, ranks: int) -> None:
    """Raise UsageError unless all ranks get equal shares of a batch."""
    if settings.batch % ranks:
        raise UsageError(f"train.batch: expected a multiple of the {ranks} ranks, got {settings.batch}")


def check_unchanged(began: Any, now: Any, out: Path, path: str = "") -> None:
    """Raise UsageError with the first setting that differs from the beginning of the run in `out`."""
    if isinstance(began, dict) and isinstance(now, dict):
        for key in now | began:
            check_unchanged(began.get(key), now.get(key), out, f"{path}.{key}".lstrip("."))
    elif began != now:
        falls = " and where its rate falls to 0" if path == "train.images" else ""
        raise UsageError(
            f"{path}: expected {began!r}, with which the run in {out} began{falls}, got {now!r}; use another folder"
        )
