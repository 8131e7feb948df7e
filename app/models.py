"""Finding and loading of models."""

from pathlib import Path
from typing import TYPE_CHECKING

from base.digest import digest_json, sha256_file

if TYPE_CHECKING:
    from zero123.pipeline import Zero123Pipeline
    from zero123.settings import SampleComputeSettings


def checkpoint_of(path: Path) -> Path:
    """Find the newest checkpoint of a training run's folder; return `path` itself when it is a model.

    Raises Failure for a folder that is neither.
    """
    from zero123.locate import newest_checkpoint

    return newest_checkpoint(path)


def load_model(path: Path, device: str, compute: "SampleComputeSettings | None" = None) -> "Zero123Pipeline":
    """Load the model at `path` on a device by name, `auto` for the best of this machine, prepared for `compute`.

    Raises Failure for a path without a model, UsageError for an unavailable device or precision.
    """
    from zero123.pipeline import Zero123Pipeline

    pipeline = Zero123Pipeline.from_pretrained(path)
    return pipeline.prepare(compute, device) if compute else pipeline.to(device)


def model_digest(checkpoint: Path) -> str:
    """Digest all weights and configuration of a checkpoint, which is a folder or a file."""
    if checkpoint.is_file():
        return sha256_file(checkpoint)[:16]
    files = sorted(path for path in checkpoint.rglob("*") if path.is_file() and "training_state" not in path.parts)
    return digest_json([[str(path.relative_to(checkpoint)), sha256_file(path)] for path in files])
