"""Open a person's choice as a model: a run, a checkpoint, a public folder, or the original's file."""

from pathlib import Path

from base.errors import Failure, UsageError
from zero123.checkpoint import INDEX, load_checkpoint
from zero123.defaults import paper_model
from zero123.layouts.folders import load_folder, spelling_of
from zero123.layouts.ldm import load_ldm
from zero123.model import PoseSlot4, Zero123Model
from zero123.settings import ModelSettings

CHECKPOINTS, FINISHED = "checkpoints", "training_state/state.json"
"""Where a training run keeps its checkpoints, and the file present in each finished checkpoint."""
SUFFIXES = (".ckpt", ".safetensors")
RUN_DEPTHS = ("*", "*/*", "*/*/*")
"""How deep below a folder of runs a training run may be."""


def open_model(
    path: Path,
    *,
    pose_slot4: PoseSlot4 | None = None,
    settings: ModelSettings | None = None,
    averaged: bool = True,
) -> Zero123Model:
    """The model at `path`: a training run's folder, a checkpoint, a public folder, or the original's `.ckpt`.

    `pose_slot4` is for layouts silent about the pose's fourth number, by default the radius difference. A `.ckpt` is
    read with the sizes of `settings`, by default the paper's, and its `averaged` UNet or the raw one. Raises Failure
    for anything without a model, UsageError for a `pose_slot4` against the checkpoint's own.
    """
    # A run's folder may be called `model.ckpt`.
    if path.suffix in SUFFIXES and not path.is_dir():
        return load_ldm(path, settings or paper_model(), pose_slot4 or "radius_difference", ema=averaged)
    if path.is_dir() and spelling_of(path) is not None:
        return load_folder(path, pose_slot4 or "radius_difference")
    model = load_checkpoint(newest_checkpoint(path))
    if pose_slot4 not in (None, model.pose_slot4):
        raise UsageError(f"{path}: expected --pose-slot4 {model.pose_slot4}, as the checkpoint says, got {pose_slot4}")
    return model


def newest_checkpoint(path: Path) -> Path:
    """The newest finished checkpoint of a training run's folder, or `path` itself when it is a model.

    Raises Failure for any other folder.
    """
    if (path / INDEX).is_file() or (path.is_file() and path.suffix in SUFFIXES):
        return path
    finished = _finished(path)
    if not finished:
        raise Failure(f"{path}: expected a model or a training run with {CHECKPOINTS}/, got neither")
    return finished[-1]


def runs_below(root: Path) -> list[Path]:
    """The newest checkpoint of each training run below `root`, the most recently written last."""
    runs = [run for depth in RUN_DEPTHS for run in root.glob(depth) if (run / CHECKPOINTS).is_dir()]
    newest = [finished[-1] for run in runs if (finished := _finished(run))]
    # By its last file: folders change their time when something beside them is removed.
    return sorted(newest, key=lambda checkpoint: (checkpoint / FINISHED).stat().st_mtime)


def _finished(run: Path) -> list[Path]:
    folders = (run / CHECKPOINTS).glob("[0-9]*") if (run / CHECKPOINTS).is_dir() else ()
    return sorted(folder for folder in folders if (folder / FINISHED).is_file())
