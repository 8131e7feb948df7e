"""Finding and loading a model that a person points at."""

from pathlib import Path
from typing import TYPE_CHECKING

from base.digest import digest_json, sha256_file

if TYPE_CHECKING:
    from zero123.pipeline import Zero123Pipeline
    from zero123.settings import SampleComputeSettings


def checkpoint_of(path: Path) -> Path:
    """The newest checkpoint of a training run's folder, or `path` itself when it is a model.

    Raises Failure for a folder that is neither.
    """
    from zero123.locate import newest_checkpoint

    return newest_checkpoint(path)


def load_model(path: Path, device: str, compute: "SampleComputeSettings | None" = None) -> "Zero123Pipeline":
    """The model at `path` on the device of that name, `auto` for the best of this machine, ready to `compute` there.

    Raises Failure for anything that holds no model, UsageError for a device or a way to compute that is not there.
    """
    from zero123.pipeline import Zero123Pipeline

    pipeline = Zero123Pipeline.from_pretrained(path)
    return pipeline.prepare(compute, device) if compute else pipeline.to(device)


def model_digest(checkpoint: Path) -> str:
    """16 digits that change with any weight or configuration of a checkpoint, a folder or a file."""
    if checkpoint.is_file():
        return sha256_file(checkpoint)[:16]
    files = sorted(path for path in checkpoint.rglob("*") if path.is_file() and "training_state" not in path.parts)
    return digest_json([[str(path.relative_to(checkpoint)), sha256_file(path)] for path in files])
