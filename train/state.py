"""Checkpoints of a run: `checkpoints/<images>/`, each a whole model with `training_state/` beside it.

The model's folder holds the averaged weights, which sampling uses and which are the EMA's state; `training_state/` the
raw weights, the optimiser, and how far the run is. A checkpoint gets its name when it is complete, and not before.
"""

import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from base.digest import canonical_json
from base.errors import Failure
from base.storage import TEMPORARY_PREFIX
from base.typed import parse_typed_json
from train.ema import Ema, ema_decay
from zero123.pipeline import Zero123Pipeline
from zero123.saving import saved_whole
from zero123.tensors import read_json, read_shaped, shapes_of

FOLDER = "checkpoints"
STATE = "training_state"
MARKER = "state.json"
USUAL_DECAY = 0.99
"""What is usual of a gradient is told by about the last hundred steps."""
COUNT = "step"
MOMENTS = (COUNT, "exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class Position:
    """How far a run is: `images` learnt from (the next pair's global number), `steps` made, `seconds` spent.

    `version` is the dataset's, which a run keeps to its end; `settings` are those that it may not change on the way.
    `dataset` is that version's digest, empty in a checkpoint of a program that did not keep it.
    `skipped` counts bad steps, `in_a_row` those since the last good one. `usual_norm` is the average norm of the
    gradients of good ones, by the formula of the weights' average; None before the first. `score` is the PSNR of the
    validation at this very position, None where there was none.
    """

    images: int
    steps: int
    seconds: float
    version: int
    settings: dict[str, Any]
    dataset: str = ""
    skipped: int = 0
    in_a_row: int = 0
    usual_norm: float | None = None
    score: float | None = None

    def advance(self, images: int, seconds: float, norm: float | None) -> "Position":
        """The position after a step of so many images with a gradient of that norm; None for one that was skipped."""
        taken = norm is not None
        return replace(
            self,
            images=self.images + images,
            steps=self.steps + taken,
            seconds=self.seconds + seconds,
            skipped=self.skipped + (not taken),
            in_a_row=0 if taken else self.in_a_row + 1,
            usual_norm=self.usual_norm if norm is None else self._usual_with(norm),
            score=None,
        )

    def largest_norm(self, times_usual: float | None) -> float:
        """The norm above which the next step's gradient explodes; infinite where nothing is known of what is usual."""
        return times_usual * self.usual_norm if times_usual and self.usual_norm else math.inf

    def _usual_with(self, norm: float) -> float:
        if self.usual_norm is None:
            return norm
        return self.usual_norm + (1.0 - ema_decay(USUAL_DECAY, self.steps)) * (norm - self.usual_norm)


@dataclass(frozen=True)
class Learner:
    """What learns: the parameters by name, their optimiser, and their averages."""

    parameters: dict[str, nn.Parameter]
    optimiser: torch.optim.AdamW
    ema: Ema


def save_state(out: Path, pipeline: Zero123Pipeline, learner: Learner, position: Position, keep: int) -> Path:
    """Write a checkpoint and forget all but the `keep` newest and the best; its folder.

    Raises Failure when it cannot be written, in which case the older ones are as they were.
    """
    for unfinished in (out / FOLDER).glob(f"{TEMPORARY_PREFIX}*"):  # of a run that was killed
        shutil.rmtree(unfinished)
    folder = out / FOLDER / f"{position.images:010d}"
    if not folder.exists():
        with saved_whole(folder, "checkpoint") as temporary:
            _write(temporary, pipeline, learner, position)
    finished = finished_checkpoints(out)
    kept = {best_checkpoint(finished), *finished[-keep:]}
    for old in finished:
        if old not in kept:
            going = old.rename(old.with_name(f"{TEMPORARY_PREFIX}{old.name}"))  # killed on the way, it is no half one
            shutil.rmtree(going)
    return folder


def best_checkpoint(folders: Sequence[Path]) -> Path | None:
    """The checkpoint whose validation was best, the newest of equals; None where none was validated."""
    scored = [(read_position(folder).score, folder) for folder in folders]
    known = [(score, folder) for score, folder in scored if score is not None]
    return max(known)[1] if known else None


def finished_checkpoints(out: Path) -> list[Path]:
    """The finished checkpoints of a run, oldest first."""
    folders = (out / FOLDER).glob("[0-9]*") if (out / FOLDER).is_dir() else ()
    return sorted(folder for folder in folders if (folder / STATE / MARKER).is_file())


def read_position(folder: Path) -> Position:
    """How far the run was when it wrote this checkpoint. Raises Failure for one that this version did not write."""
    path = folder / STATE / MARKER
    try:
        return parse_typed_json(Position, canonical_json(asdict(Position(**read_json(path)))))
    except (TypeError, ValueError):
        raise Failure(f"{path}: expected a training state of this program, got another one") from None


def load_learner(folder: Path, learner: Learner) -> None:
    """Take up the raw weights and the optimiser's moments; the pipeline holds the averages already.

    Raises Failure naming the file and tensor for one that is missing, unknown or of another shape.
    """
    shapes = shapes_of(learner.parameters)
    stepped = list(learner.parameters) if read_position(folder).steps else []
    raw = read_shaped(folder / STATE / "weights.safetensors", shapes)
    moments = read_shaped(
        folder / STATE / "optimiser.safetensors",
        {f"{name}.{moment}": () if moment == COUNT else shapes[name] for name in stepped for moment in MOMENTS},
    )
    for name, parameter in learner.parameters.items():
        with torch.no_grad():
            parameter.copy_(raw[name])
    for name in stepped:
        parameter = learner.parameters[name]
        learner.optimiser.state[parameter] = {
            moment: _placed(moments[f"{name}.{moment}"], moment, parameter) for moment in MOMENTS
        }


def _placed(tensor: Tensor, moment: str, parameter: nn.Parameter) -> Tensor:
    """The moment as fused AdamW makes it: on the parameter's device, and but for the count in its memory's order."""
    if moment == COUNT:
        return tensor.to(parameter.device, copy=True)
    return torch.empty_like(parameter, requires_grad=False).copy_(tensor)


def _write(folder: Path, pipeline: Zero123Pipeline, learner: Learner, position: Position) -> None:
    (folder / STATE).mkdir(parents=True)
    with learner.ema.apply_averages():
        pipeline.save_pretrained(folder)
    save_file(_contiguous(learner.parameters), folder / STATE / "weights.safetensors")
    moments = {
        f"{name}.{moment}": tensor
        for name, parameter in learner.parameters.items()
        for moment, tensor in learner.optimiser.state[parameter].items()
    }
    save_file(_contiguous(moments), folder / STATE / "optimiser.safetensors")
    (folder / STATE / MARKER).write_text(canonical_json(asdict(position)) + "\n")


def _contiguous(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
