"""Checkpoints of a run: `checkpoints/<images>/`, each a complete model with `training_state/` beside it.

The model's folder holds the averaged weights, for sampling and as the state of the EMA. `training_state/` holds the raw
weights, the optimiser and the position. A run of adapters merges them into the model, and keeps them apart in `lora/`.
A checkpoint gets its name only when it is complete.
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
from zero123.lora import Adapter, merged_adapters, save_adapter
from zero123.pipeline import Zero123Pipeline
from zero123.saving import save_whole
from zero123.tensors import read_json, read_shaped, shapes_of

FOLDER = "checkpoints"
STATE = "training_state"
MARKER = "state.json"
ADAPTER = "lora"
USUAL_DECAY = 0.99
"""The decay of `usual_norm`: an average over about the last hundred steps."""
COUNT = "step"
MOMENTS = (COUNT, "exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class Position:
    """The position of a run: `images` learnt from (the next pair's global number), `steps` taken, `seconds` spent.

    `version` is the number of the dataset's version, and `dataset` its digest, empty in old checkpoints. `settings` are
    fixed for the run. `skipped` counts bad steps, and `in_a_row` counts those since the last good step. `usual_norm`
    averages the gradient norms of good steps by the formula of the EMA; it is None before the first. `score` is the
    PSNR of a validation at this position, None without a validation.
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
        """Return the position after a step with this gradient norm; None means a skipped step."""
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
        """Return the largest gradient norm of a good step, infinite before there is an average."""
        return times_usual * self.usual_norm if times_usual and self.usual_norm else math.inf

    def _usual_with(self, norm: float) -> float:
        if self.usual_norm is None:
            return norm
        return self.usual_norm + (1.0 - ema_decay(USUAL_DECAY, self.steps)) * (norm - self.usual_norm)


@dataclass(frozen=True)
class Learner:
    """The trained parameters by name, their optimiser, their averages, and the adapter that they are, if any."""

    parameters: dict[str, nn.Parameter]
    optimiser: torch.optim.AdamW
    ema: Ema
    adapter: Adapter | None = None


def save_state(out: Path, pipeline: Zero123Pipeline, learner: Learner, position: Position, keep: int) -> Path:
    """Write a checkpoint, remove all but the `keep` newest and the best, and return its folder.

    Raises Failure if writing fails; then the older checkpoints are unchanged.
    """
    for unfinished in (out / FOLDER).glob(f"{TEMPORARY_PREFIX}*"):  # left by a killed run
        shutil.rmtree(unfinished)
    folder = out / FOLDER / f"{position.images:010d}"
    if not folder.exists():
        with save_whole(folder, "checkpoint") as temporary:
            _write(temporary, pipeline, learner, position)
    finished = finished_checkpoints(out)
    # The best too: validation may have passed its peak long before the newest.
    kept = {best_checkpoint(finished), *finished[-keep:]}
    for old in finished:
        if old not in kept:
            # Renamed first: a kill during the removal must not leave half a checkpoint.
            going = old.rename(old.with_name(f"{TEMPORARY_PREFIX}{old.name}"))
            shutil.rmtree(going)
    return folder


def best_checkpoint(folders: Sequence[Path]) -> Path | None:
    """Return the checkpoint with the best validation, the newest of equals, or None without validations."""
    scored = [(read_position(folder).score, folder) for folder in folders]
    known = [(score, folder) for score, folder in scored if score is not None]
    # Of equal scores the later folder is larger, by its name.
    return max(known)[1] if known else None


def finished_checkpoints(out: Path) -> list[Path]:
    """List the complete checkpoints of a run, oldest first."""
    folders = (out / FOLDER).glob("[0-9]*") if (out / FOLDER).is_dir() else ()
    # The marker is written last. Names have leading zeros, so their order is that of images.
    return sorted(folder for folder in folders if (folder / STATE / MARKER).is_file())


def read_position(folder: Path) -> Position:
    """Read the position in a checkpoint. Raises Failure for a checkpoint of another program."""
    path = folder / STATE / MARKER
    try:
        return parse_typed_json(Position, canonical_json(asdict(Position(**read_json(path)))))
    except (TypeError, ValueError):
        raise Failure(f"{path}: expected a training state of this program, got another one") from None


def load_learner(folder: Path, learner: Learner) -> None:
    """Load the raw weights and the optimiser's moments. The pipeline holds the averages already.

    Raises Failure with file and name for a missing or unknown tensor and for another shape.
    """
    shapes = shapes_of(learner.parameters)
    # AdamW has no moments before its first step.
    stepped = list(learner.parameters) if read_position(folder).steps else []
    raw = read_shaped(folder / STATE / "weights.safetensors", shapes)
    moments = read_shaped(
        folder / STATE / "optimiser.safetensors",
        {f"{name}.{moment}": () if moment == COUNT else shapes[name] for name in stepped for moment in MOMENTS},
    )
    for name, parameter in learner.parameters.items():
        with torch.no_grad():
            # Into the existing tensors, which the optimiser and the averages refer to.
            parameter.copy_(raw[name])
    for name in stepped:
        parameter = learner.parameters[name]
        learner.optimiser.state[parameter] = {
            moment: _like_optimiser(moments[f"{name}.{moment}"], moment, parameter) for moment in MOMENTS
        }


def _like_optimiser(tensor: Tensor, moment: str, parameter: nn.Parameter) -> Tensor:
    """Arrange a moment like fused AdamW: on the parameter's device and, except for the count, in its memory format."""
    if moment == COUNT:
        return tensor.to(parameter.device, copy=True)
    return torch.empty_like(parameter, requires_grad=False).copy_(tensor)


def _write(folder: Path, pipeline: Zero123Pipeline, learner: Learner, position: Position) -> None:
    (folder / STATE).mkdir(parents=True)
    with learner.ema.apply_averages():
        with merged_adapters(pipeline):
            pipeline.save_pretrained(folder)
        if learner.adapter:
            save_adapter(folder / ADAPTER, learner.adapter, learner.parameters)
    save_file(_contiguous(learner.parameters), folder / STATE / "weights.safetensors")
    moments = {
        f"{name}.{moment}": tensor
        for name, parameter in learner.parameters.items()
        for moment, tensor in learner.optimiser.state[parameter].items()
    }
    save_file(_contiguous(moments), folder / STATE / "optimiser.safetensors")
    # Last: with it the folder counts as a checkpoint.
    (folder / STATE / MARKER).write_text(canonical_json(asdict(position)) + "\n")


def _contiguous(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    # safetensors refuses channels-last tensors.
    return {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
