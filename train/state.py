"""Checkpoints of a run: `checkpoints/<images>/`, each a whole model with `training_state/` beside it.

The model's folder holds the averaged weights, which sampling uses and which are the EMA's state; `training_state/` the
raw weights, the optimiser, and how far the run is. A checkpoint gets its name when it is complete, and not before.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from base.digest import canonical_json
from base.errors import Failure
from base.storage import TEMPORARY_PREFIX, reason
from train.ema import Ema
from zero123.pipeline import Zero123Pipeline
from zero123.tensors import check_names, read_json, read_tensors

FOLDER = "checkpoints"
STATE = "training_state"
MOMENTS = ("step", "exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class Position:
    """How far a run is: `images` learnt from (the next pair's global number), `steps` made, `seconds` spent.

    `version` is the dataset's, which a run keeps to its end; `settings` are those that it may not change on the way.
    """

    images: int
    steps: int
    seconds: float
    version: int
    settings: dict[str, Any]


@dataclass(frozen=True)
class Learner:
    """What learns: the parameters by name, their optimiser, and their averages."""

    parameters: dict[str, nn.Parameter]
    optimiser: torch.optim.AdamW
    ema: Ema


def save_state(out: Path, pipeline: Zero123Pipeline, learner: Learner, position: Position, keep: int) -> Path:
    """Write a checkpoint and forget all but the `keep` newest; its folder.

    Raises Failure when it cannot be written, in which case the older ones are as they were.
    """
    folder = out / FOLDER / f"{position.images:010d}"
    if not folder.exists():
        temporary = folder.with_name(f"{TEMPORARY_PREFIX}{folder.name}")
        try:
            shutil.rmtree(temporary, ignore_errors=True)
            _write(temporary, pipeline, learner, position)
            temporary.rename(folder)
        except (OSError, SafetensorError) as error:
            raise Failure(f"{folder}: could not write the checkpoint: {_reason(error)}") from None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    for old in complete(out)[:-keep]:
        shutil.rmtree(old)
    return folder


def complete(out: Path) -> list[Path]:
    """The finished checkpoints of a run, oldest first."""
    folders = (out / FOLDER).glob("[0-9]*") if (out / FOLDER).is_dir() else ()
    return sorted(folder for folder in folders if (folder / STATE / "state.json").is_file())


def read_position(folder: Path) -> Position:
    """How far the run was when it wrote this checkpoint. Raises Failure for one that this version did not write."""
    path = folder / STATE / "state.json"
    try:
        return Position(**read_json(path))
    except TypeError:
        raise Failure(f"{path}: expected a training state of this program, got another one") from None


def load_learner(folder: Path, learner: Learner) -> None:
    """Take up the raw weights and the optimiser's moments; the pipeline holds the averages already."""
    raw = read_tensors(folder / STATE / "weights.safetensors")
    moments = read_tensors(folder / STATE / "optimiser.safetensors")
    expected = [f"{name}.{moment}" for name in learner.parameters for moment in MOMENTS]
    check_names(learner.parameters, raw, where=str(folder / STATE / "weights.safetensors"))
    check_names(expected, moments, where=str(folder / STATE / "optimiser.safetensors"))
    for name, parameter in learner.parameters.items():
        with torch.no_grad():
            parameter.copy_(raw[name])
        learner.optimiser.state[parameter] = {
            moment: _placed(moments[f"{name}.{moment}"], moment, parameter) for moment in MOMENTS
        }


def _placed(tensor: Tensor, moment: str, parameter: nn.Parameter) -> Tensor:
    """AdamW counts its steps on the CPU."""
    return tensor.clone() if moment == "step" else tensor.to(parameter.device, copy=True)


def _write(folder: Path, pipeline: Zero123Pipeline, learner: Learner, position: Position) -> None:
    (folder / STATE).mkdir(parents=True)
    with learner.ema.in_place():
        pipeline.save_pretrained(folder)
    save_file(_contiguous(learner.parameters), folder / STATE / "weights.safetensors")
    moments = {
        f"{name}.{moment}": learner.optimiser.state[parameter][moment]
        for name, parameter in learner.parameters.items()
        for moment in MOMENTS
    }
    save_file(_contiguous(moments), folder / STATE / "optimiser.safetensors")
    (folder / STATE / "state.json").write_text(canonical_json(asdict(position)) + "\n")
    for path in (*folder.rglob("*"), folder):
        _flush(path)


def _contiguous(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().contiguous() for name, tensor in tensors.items()}


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reason(error: OSError | SafetensorError) -> str:
    if isinstance(error, OSError):
        return reason(error)
    full = "os error 28" in str(error)
    return "the disk is full; free some space and run the same command again" if full else str(error)
