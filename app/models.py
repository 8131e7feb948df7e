"""Finding and loading a model that a person points at."""

from pathlib import Path
from typing import TYPE_CHECKING

from base.digest import digest_json, sha256_file
from base.errors import Failure
from train.state import FOLDER, finished_checkpoints

if TYPE_CHECKING:
    from zero123.pipeline import Zero123Pipeline


def checkpoint_of(path: Path) -> Path:
    """The newest checkpoint of a training run's folder, or `path` itself when it is a model.

    Raises Failure for a folder that is neither.
    """
    if (path / "model_index.json").is_file():
        return path
    checkpoints = finished_checkpoints(path)
    if not checkpoints:
        raise Failure(f"{path}: expected a model or a training run with {FOLDER}/, got neither")
    return checkpoints[-1]


def load_model(path: Path, device: str) -> "Zero123Pipeline":
    """The model at `path` (see `checkpoint_of`) on the device of that name, `auto` for the best there is.

    Raises Failure for what is no model of ours, UsageError for a device that is not there.
    """
    from zero123.pipeline import Zero123Pipeline

    return Zero123Pipeline.from_pretrained(checkpoint_of(path), device)


def model_digest(checkpoint: Path) -> str:
    """16 digits that change with any weight or configuration of a checkpoint."""
    files = sorted(path for path in checkpoint.rglob("*") if path.is_file() and "training_state" not in path.parts)
    return digest_json([[str(path.relative_to(checkpoint)), sha256_file(path)] for path in files])
