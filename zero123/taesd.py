"""TAESD, the tiny autoencoder for Stable Diffusion's latents, packaged with this project (MIT, Ollin Boer Bohan)."""

from pathlib import Path

from diffusers import AutoencoderTiny

from base.digest import sha256_file
from zero123.tensors import load_module

FOLDER = Path(__file__).parent / "weights" / "taesd"
WEIGHTS = "diffusion_pytorch_model.safetensors"


def load_taesd() -> AutoencoderTiny:
    """The packaged autoencoder in float32, frozen."""
    return load_module(AutoencoderTiny, FOLDER).float().eval().requires_grad_(requires_grad=False)


def taesd_digest() -> str:
    """SHA-256 of the packaged weights: named by checkpoints without a copy."""
    return sha256_file(FOLDER / WEIGHTS)
