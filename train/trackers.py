"""Trackers of a run: TensorBoard's files, and Weights & Biases."""

import importlib
import secrets
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from base.errors import UsageError
from base.storage import write_atomically
from train.log import LogRow
from train.settings import LogSettings
from train.validation import ValidationScore

TENSORBOARD, WANDB_ID = "tensorboard", "wandb-id"


class Tracker(Protocol):
    """Receives numbers and pictures with the number of images learnt from."""

    def add_numbers(self, images: int, values: dict[str, float]) -> None:
        """Record values by name."""

    def add_picture(self, images: int, name: str, pixels: NDArray[np.uint8]) -> None:
        """Record a picture, RGB (H, W, 3)."""

    def close(self) -> None:
        """Write everything that is still in memory."""


def trackers_for(settings: LogSettings, out: Path, facts: dict[str, Any], images: int) -> list[Tracker]:
    """Make the trackers of the settings, for a run that continues after `images`. `facts` are its settings.

    Raises UsageError if W&B is needed and not installed.
    """
    found: list[Tracker] = [TensorBoard(out, images)] if settings.tensorboard else []
    return found + ([WandB(settings.wandb, out, facts)] if settings.wandb else [])


def numbers_of(row: LogRow) -> dict[str, float]:
    """Convert a row of the log to values by name, without unknown values."""
    single = (
        "loss",
        "gradient_norm",
        "learning_rate",
        "projection_rate",
        "images_per_s",
        "mfu",
        "data_wait",
        "skipped",
    )
    values = {f"train/{name}": getattr(row, name) for name in single}
    values |= {f"loss_by_timestep/{part}": value for part, value in enumerate(row.loss_by_timestep)}
    return {name: float(value) for name, value in values.items() if value is not None}


def numbers_of_score(score: ValidationScore) -> dict[str, float]:
    """Convert a validation score to values by name."""
    return {"validation/psnr_db": score.psnr_db, "validation/ssim": score.ssim}


class TensorBoard:
    """Writes event files below `out`, for `tensorboard --logdir`. Earlier records after `images` are hidden."""

    def __init__(self, out: Path, images: int) -> None:
        from tensorboardX import SummaryWriter

        # Files are named by the second and sorted by name. The suffix separates those of the same second.
        suffix = f".{images:010d}"
        self.writer = SummaryWriter(str(out / TENSORBOARD), purge_step=images + 1, filename_suffix=suffix)

    def add_numbers(self, images: int, values: dict[str, float]) -> None:
        """See `Tracker`."""
        for name, value in values.items():
            self.writer.add_scalar(name, value, images)

    def add_picture(self, images: int, name: str, pixels: NDArray[np.uint8]) -> None:
        """See `Tracker`."""
        self.writer.add_image(name, pixels, images, dataformats="HWC")

    def close(self) -> None:
        """See `Tracker`."""
        self.writer.close()


class WandB:
    """A run of Weights & Biases. It is resumed with its folder; the key is in the environment."""

    def __init__(self, project: str, out: Path, facts: dict[str, Any]) -> None:
        try:
            self.wandb: Any = importlib.import_module("wandb")  # optional, so not among the project's packages
        except ImportError:
            raise UsageError("train.log.wandb: expected the package wandb (pip install wandb), got nothing") from None
        self.run = self.wandb.init(
            project=project, name=out.name, id=_run_id(out), dir=str(out), config=facts, resume="allow"
        )

    def add_numbers(self, images: int, values: dict[str, float]) -> None:
        """See `Tracker`."""
        # As a value: W&B's own steps may only grow, and a resumed run goes back to its checkpoint.
        self.run.log(values | {"images": images})

    def add_picture(self, images: int, name: str, pixels: NDArray[np.uint8]) -> None:
        """See `Tracker`."""
        self.run.log({name: self.wandb.Image(pixels), "images": images})

    def close(self) -> None:
        """See `Tracker`."""
        self.run.finish()


def _run_id(out: Path) -> str:
    """Return W&B's id for the run in `out`, drawn at its first start."""
    path = out / WANDB_ID
    if not path.is_file():
        write_atomically(path, secrets.token_hex(8).encode())
    return path.read_text(encoding="ascii")
