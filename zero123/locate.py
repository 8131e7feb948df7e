"""Open whatever a person points at as a model: a run, a checkpoint, a public folder, or the original's file."""

from pathlib import Path

from base.errors import Failure
from zero123.checkpoint import INDEX, load_checkpoint
from zero123.model import Zero123Model

CHECKPOINTS, FINISHED = "checkpoints", "training_state/state.json"
"""Where a training run keeps its checkpoints, and the file that each finished checkpoint has."""
SUFFIXES = (".ckpt", ".safetensors")


def open_model(path: Path) -> Zero123Model:
    """The model at `path`. Raises Failure for anything that holds no model."""
    return load_checkpoint(newest_checkpoint(path))


def newest_checkpoint(path: Path) -> Path:
    """The newest finished checkpoint of a training run's folder, or `path` itself when it is a model's folder.

    Raises Failure for a folder that is neither.
    """
    if (path / INDEX).is_file():
        return path
    folders = (path / CHECKPOINTS).glob("[0-9]*") if (path / CHECKPOINTS).is_dir() else ()
    finished = sorted(folder for folder in folders if (folder / FINISHED).is_file())
    if not finished:
        raise Failure(f"{path}: expected a model or a training run with {CHECKPOINTS}/, got neither")
    return finished[-1]
