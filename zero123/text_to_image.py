"""Any diffusers text-to-image pipeline, read from tensors alone: a picture of an object from words."""

from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from PIL import Image
from safetensors import SafetensorError

from base.errors import Failure
from zero123.device import torch_device
from zero123.settings import TextSettings

INDEX = "model_index.json"
FETCHED = ["*.json", "*/*.safetensors", "*/*.txt", "*/*.model"]
LEFT_OUT = ["*.fp16.*", "*.non_ema.*"]
"""Second copies of the same weights."""


def text_model_folder(source: str) -> Path:
    """Return the folder of a text-to-image pipeline: `source` itself, or a hub id's files in the hub's cache.

    Only JSON, vocabularies and safetensors are fetched. Raises Failure for any other source, and when the hub cannot be
    reached and nothing is cached.
    """
    folder = Path(source)
    if folder.exists() or source.count("/") != 1:
        if not (folder / INDEX).is_file():
            raise Failure(f"--text-model: expected a hub id or a folder with {INDEX}, got {source!r}")
        return folder
    try:
        return Path(snapshot_download(source, allow_patterns=FETCHED, ignore_patterns=LEFT_OUT))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        words = " ".join(str(error).split())[:200]
        raise Failure(f"--text-model {source}: expected a model of the hub, got: {words}") from None


def load_text_model(folder: Path, device: str) -> Any:
    """Load the pipeline in a folder of diffusers' layout: safetensors only, without the folder's own code.

    Raises Failure, naming the folder, for another kind of pipeline, for missing or damaged files and for pickles.
    """
    from diffusers import AutoPipelineForText2Image
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    for library in (diffusers_logging, transformers_logging):
        library.disable_progress_bar()  # the command has its own
    try:
        pipeline = AutoPipelineForText2Image.from_pretrained(
            str(folder), use_safetensors=True, trust_remote_code=False, local_files_only=True, low_cpu_mem_usage=False
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        words = " ".join(str(error).split())[:200]
        raise Failure(f"{folder}: expected a diffusers text-to-image pipeline in safetensors, got: {words}") from None
    pipeline.set_progress_bar_config(disable=True)
    for name, part in pipeline.components.items():
        if isinstance(part, torch.nn.Module) and not all(bool(torch.isfinite(one).all()) for one in part.parameters()):
            raise Failure(f"{folder}: {name}: expected finite weights, got NaN or infinity")
    return pipeline.to(torch_device(device))


def paint(pipeline: Any, prompt: str, settings: TextSettings, seed: int) -> Image.Image:
    """Return the picture of a prompt, at the pipeline's own size; equal seeds give equal pictures on a device."""
    answer = pipeline(
        prompt,
        num_inference_steps=settings.steps,
        guidance_scale=settings.guidance_scale,
        # On the CPU: the same noise on every device.
        generator=torch.Generator().manual_seed(seed),
    )
    picture: Image.Image = answer.images[0]
    return picture.convert("RGB")
