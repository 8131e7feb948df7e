"""Checkpoints: a folder in diffusers' layout, read strictly.

`model_index.json` names the parts, `unet/ vae/ image_encoder/ cc_projection/ scheduler/` hold them as JSON and
safetensors. What diffusers has no word for stands in the index under `_zero123`: the size of the views, what the pose's
fourth number means, the defaults of sampling, and `references` to frozen parts kept elsewhere.
"""

import json
from pathlib import Path
from typing import Any, cast

import diffusers
from diffusers import AutoencoderKL, AutoencoderTiny, DDIMScheduler, UNet2DConditionModel
from torch import nn
from transformers import CLIPVisionModelWithProjection

from base.errors import Failure, UsageError
from base.settings import Layer, validate
from base.storage import write_atomically
from zero123.image_encoder import LatentEncoder
from zero123.model import Zero123Model
from zero123.projection import CCProjection
from zero123.references import resolve
from zero123.settings import SamplingSettings
from zero123.tensors import load_module, read_json

INDEX = "model_index.json"
FORMAT = 2
PIPELINE_CLASS = "Zero123Pipeline"
CHOICES = {
    "pose_slot4": ("radius_difference", "input_polar"),
    "latent_origin": ("zero", "white"),
    "context_tokens": ("one", "patches"),
}

CLASSES: dict[str, dict[tuple[str, str], type[nn.Module]]] = {
    "unet": {("diffusers", "UNet2DConditionModel"): UNet2DConditionModel},
    "vae": {("diffusers", "AutoencoderKL"): AutoencoderKL, ("diffusers", "AutoencoderTiny"): AutoencoderTiny},
    "image_encoder": {
        ("transformers", "CLIPVisionModelWithProjection"): CLIPVisionModelWithProjection,
        ("zero123.image_encoder", "LatentEncoder"): LatentEncoder,
    },
    "cc_projection": {("zero123.projection", "CCProjection"): CCProjection},
}
SCHEDULER = ["diffusers", "DDIMScheduler"]


def save_checkpoint(pipeline: Zero123Model, folder: Path, file_bytes: int | None = None) -> None:
    """Write the parts, then the index, last, since it makes the folder a checkpoint; see
    `Zero123Pipeline.save_pretrained`."""
    split = {"max_shard_size": file_bytes} if file_bytes else {}
    for name, module in pipeline.modules().items():
        # Frozen parts are large, and every checkpoint of a run would have a copy.
        if name not in pipeline.references:
            module.save_pretrained(folder / name, **split)
    pipeline.scheduler.save_pretrained(folder / "scheduler")
    index = {
        "_class_name": PIPELINE_CLASS,
        "_diffusers_version": diffusers.__version__,
        "_zero123": {
            "format": FORMAT,
            "hw": list(pipeline.hw),
            "pose_slot4": pipeline.pose_slot4,
            "latent_origin": pipeline.latent_origin,
            "context_tokens": pipeline.context_tokens,
            "references": pipeline.references,
            "sampling": pipeline.defaults.model_dump(mode="json"),
        },
        **{name: list(_key_of(name, module)) for name, module in pipeline.modules().items()},
        "scheduler": SCHEDULER,
    }
    write_atomically(folder / INDEX, (json.dumps(index, indent=2, sort_keys=True) + "\n").encode())


def load_checkpoint(folder: Path) -> Zero123Model:
    """The model in a checkpoint's folder, in float32. Raises Failure with the wrong folder, file or key."""
    # Before any weights: a folder of another program ends here, in a sentence.
    index = read_index(folder)
    facts = index["_zero123"]
    parts = {name: _load_part(name, folder, index) for name in CLASSES}
    pipeline = Zero123Model(
        **parts,
        scheduler=load_scheduler(folder / "scheduler" / "scheduler_config.json"),
        hw=(facts["hw"][0], facts["hw"][1]),
        pose_slot4=facts["pose_slot4"],
        latent_origin=facts["latent_origin"],
        context_tokens=facts["context_tokens"],
        references=facts["references"],
        sampling=_sampling(facts, folder / INDEX),
    )
    _check_fit(pipeline, folder)
    return pipeline


def read_index(folder: Path) -> dict[str, Any]:
    """The checked `model_index.json` of a checkpoint. Raises Failure when `folder` holds no checkpoint of ours."""
    if not (folder / INDEX).is_file():
        raise Failure(f"{folder}: expected a checkpoint, a folder with {INDEX}, got nothing")
    index = read_json(folder / INDEX)
    where = folder / INDEX
    if index.get("_class_name") != PIPELINE_CLASS or not isinstance(index.get("_zero123"), dict):
        raise Failure(f"{where}: expected a {PIPELINE_CLASS} of this project, got {index.get('_class_name')!r}")
    facts = index["_zero123"]
    if facts.get("format") != FORMAT:
        raise Failure(f"{where}: _zero123.format: expected {FORMAT}, got {facts.get('format')!r}")
    hw = facts.get("hw")
    if not (isinstance(hw, list) and len(hw) == 2 and all(type(side) is int and 8 <= side <= 4096 for side in hw)):
        raise Failure(f"{where}: _zero123.hw: expected two sizes in pixels, got {hw!r}")
    for key, choices in CHOICES.items():
        if facts.get(key) not in choices:
            raise Failure(f"{where}: _zero123.{key}: expected {' or '.join(choices)}, got {facts.get(key)!r}")
    references = facts.get("references")
    if not isinstance(references, dict) or not set(references) <= {"vae", "image_encoder"}:
        raise Failure(f"{where}: _zero123.references: expected frozen parts, got {references!r}")
    for name in {key for key in index if not key.startswith("_")} ^ {*CLASSES, "scheduler"}:
        raise Failure(f"{where}: expected the parts {', '.join([*CLASSES, 'scheduler'])}, got a difference in {name!r}")
    return index


def _sampling(facts: dict[str, Any], where: Path) -> SamplingSettings | None:
    """The sampling defaults; checkpoints of older versions lack them."""
    if "sampling" not in facts:
        return None
    try:
        return validate(SamplingSettings, Layer(f"{where}: _zero123.sampling", facts["sampling"]))
    except (UsageError, AttributeError) as error:
        raise Failure(str(error).splitlines()[0]) from None


def _load_part(name: str, folder: Path, index: dict[str, Any]) -> Any:
    key = index[name]
    known = CLASSES[name]
    # From a fixed table: diffusers would import any class that the file names.
    cls = known.get(tuple(key)) if isinstance(key, list) and all(isinstance(part, str) for part in key) else None
    if cls is None:
        choices = " or ".join(".".join(choice) for choice in known)
        raise Failure(f"{folder / INDEX}: {name}: expected {choices}, got {key!r}")
    references = index["_zero123"]["references"]
    if name in references:
        return resolve(cls, references[name], where=f"{folder / INDEX}: {name}")
    # Half-precision files are for size; all computing starts from float32.
    return load_module(cls, folder / name).float()


def load_scheduler(path: Path) -> DDIMScheduler:
    """The schedule in a scheduler_config.json. Raises Failure naming the file."""
    config = read_json(path)
    count = config.get("num_train_timesteps")
    if config.get("_class_name") != "DDIMScheduler" or type(count) is not int or not 1 <= count <= 10_000:
        raise Failure(
            f"{path}: expected a DDIMScheduler of 1 to 10000 timesteps, got {config.get('_class_name')!r}, {count!r}"
        )
    try:
        return cast("DDIMScheduler", DDIMScheduler.from_config(config))
    except (TypeError, ValueError, NotImplementedError) as error:
        raise Failure(f"{path}: expected a DDIMScheduler's configuration, got: {error}") from None


def _check_fit(pipeline: Zero123Model, folder: Path) -> None:
    """The parts come from files of their own; here it shows whether they are parts of one model."""
    unet, projection = pipeline.unet.config, pipeline.cc_projection.config
    encoder = pipeline.image_encoder.config
    embedding = encoder.embedding if isinstance(pipeline.image_encoder, LatentEncoder) else encoder.projection_dim
    for what, expected, got in (
        ("unet: in_channels", 8, unet.in_channels),
        ("unet: out_channels", 4, unet.out_channels),
        ("cc_projection: context", unet.cross_attention_dim, projection.context),
        ("cc_projection: embedding", embedding, projection.embedding),
        ("cc_projection: pose", 4, projection.pose),
    ):
        if expected != got:
            raise Failure(f"{folder}: {what}: expected {expected}, got {got}")


def _key_of(name: str, module: nn.Module) -> tuple[str, str]:
    return next(key for key, cls in CLASSES[name].items() if isinstance(module, cls))
