"""The two folder layouts of the original's ports to diffusers: the same parts as ours, but for the projection.

kxic's repositories call it `cc_projection` with tensors `projection.*`, bennyguo's and ashawkey's
`clip_camera_projection` with `proj.*`. Neither says what the pose's fourth number means.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPVisionModelWithProjection

from base.errors import Failure
from base.storage import write_atomically
from zero123.checkpoint import INDEX, load_scheduler
from zero123.image_encoder import CLIP_HW, CLIP_MEAN, CLIP_STD
from zero123.layouts.foreign import check_architecture, check_square
from zero123.model import PoseSlot4, Zero123Model
from zero123.projection import CCProjection
from zero123.references import base_part
from zero123.tensors import fill, read_json, read_tensors

POSE = 4


@dataclass(frozen=True)
class Spelling:
    """A family of repositories' names of the pipeline, the projection's folder and class, and its tensors."""

    pipeline: str
    folder: str
    module: str
    cls: str
    tensors: str


SPELLINGS = {
    "kxic": Spelling(
        "Zero1to3StableDiffusionPipeline", "cc_projection", "pipeline_zero1to3", "CCProjection", "projection"
    ),
    "ashawkey": Spelling("Zero123Pipeline", "clip_camera_projection", "zero123", "CLIPCameraProjection", "proj"),
}


def spelling_of(folder: Path) -> Spelling | None:
    """The spelling of a model's folder; None when it is neither of the two. Raises Failure for a broken index."""
    index = read_json(folder / INDEX) if (folder / INDEX).is_file() else {}
    found = [one for one in SPELLINGS.values() if one.folder in index and index.get("_class_name") == one.pipeline]
    # Our own checkpoints have a pipeline of the same class name.
    return found[0] if found and "_zero123" not in index else None


def load_folder(folder: Path, pose_slot4: PoseSlot4) -> Zero123Model:
    """The model in a folder of either spelling, in float32. Raises Failure with the wrong part and tensor."""
    spelling = spelling_of(folder)
    if spelling is None:
        names = " or ".join(one.pipeline for one in SPELLINGS.values())
        raise Failure(f"{folder}: expected a model folder of {names}, got nothing")
    unet = base_part(UNet2DConditionModel, str(folder), None, "unet")
    vae = base_part(AutoencoderKL, str(folder), None, "vae")
    clip = base_part(CLIPVisionModelWithProjection, str(folder), None, "image_encoder")
    context, embedding = unet.config.cross_attention_dim, clip.config.projection_dim
    if (unet.config.in_channels, unet.config.out_channels) != (8, 4):
        got = f"{unet.config.in_channels} and {unet.config.out_channels}"
        raise Failure(f"{folder / 'unet'}: expected 8 channels in and 4 out, got {got}")
    # Without memory: the weights come next, and random ones would only be thrown away.
    with torch.device("meta"):
        projection = CCProjection(embedding, POSE, context)
    tensors = _projection_tensors(folder / spelling.folder)
    renamed = {name.replace(f"{spelling.tensors}.", "projection.", 1): value for name, value in tensors.items()}
    fill(projection, {name: value.float() for name, value in renamed.items()}, where=str(folder / spelling.folder))
    # These folders state no size of views, only that of the latents.
    side = 8 * int(unet.config.sample_size)
    scheduler = load_scheduler(folder / "scheduler" / "scheduler_config.json")
    return Zero123Model(unet, vae, clip, projection, scheduler, (side, side), pose_slot4)


def save_folder(pipeline: Zero123Model, folder: Path, spelling: Spelling) -> None:
    """Write a model as a folder in one of the spellings, tensors as safetensors.

    `flags_lost_in_folder` gives the flags for the rest. Raises UsageError for a model beyond such a folder.
    """
    check_architecture(pipeline)
    check_square(pipeline)
    parts = pipeline.modules()
    for name in ("unet", "vae", "image_encoder"):
        parts[name].save_pretrained(folder / name)
    pipeline.scheduler.save_pretrained(folder / "scheduler")
    _save_projection(pipeline, folder / spelling.folder, spelling)
    _write_json(folder / "feature_extractor" / "preprocessor_config.json", _preprocessor())
    index = {
        "_class_name": spelling.pipeline,
        "_diffusers_version": diffusers.__version__,
        spelling.folder: [spelling.module, spelling.cls],
        "feature_extractor": ["transformers", "CLIPImageProcessor"],
        "image_encoder": ["transformers", "CLIPVisionModelWithProjection"],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    _write_json(folder / INDEX, index)


def _projection_tensors(folder: Path) -> dict[str, Tensor]:
    safe, pickled = (folder / f"diffusion_pytorch_model.{suffix}" for suffix in ("safetensors", "bin"))
    if safe.is_file():
        return read_tensors(safe)
    try:
        # Tensors alone: a full unpickler would run code of the file.
        found = torch.load(pickled, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 -- a hostile file makes the reader fail in any way
        sentence = " ".join(str(error).split())[:200]
        raise Failure(f"{folder}: expected the projection's tensors, got: {sentence}") from None
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise Failure(f"{pickled}: expected tensors by name, got something else")
    return found


def _save_projection(pipeline: Zero123Model, folder: Path, spelling: Spelling) -> None:
    config = pipeline.cc_projection.config
    dims = {"embedding_dim": config.embedding, "additional_embeddings": POSE} if spelling.tensors == "proj" else {}
    _write_json(folder / "config.json", {"_class_name": spelling.cls, **dims})
    state = pipeline.cc_projection.projection.state_dict()
    tensors = {f"{spelling.tensors}.{name}": tensor.contiguous() for name, tensor in state.items()}
    save_file(tensors, folder / "diffusion_pytorch_model.safetensors", metadata={"format": "pt"})


def _preprocessor() -> dict[str, Any]:
    """Return CLIP's own preprocessing. These pipelines require it although they resize by themselves."""
    return {
        "image_processor_type": "CLIPImageProcessor",
        "size": {"shortest_edge": CLIP_HW[0]},
        "crop_size": {"height": CLIP_HW[0], "width": CLIP_HW[1]},
        "image_mean": list(CLIP_MEAN),
        "image_std": list(CLIP_STD),
        "resample": 3,
    }


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(value, indent=2, sort_keys=True) + "\n").encode())
