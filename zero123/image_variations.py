"""Stable Diffusion Image Variations (Lambda Labs): pictures with the content of a picture, without a camera.

A Stable Diffusion whose single context token is CLIP's embedding of the input, in the layout of diffusers'
`StableDiffusionImageVariationPipeline`. Zero-1-to-3 began its training from it, and compares with it (arXiv 2303.11328,
§4). Guidance is against a token of zeros.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate
from transformers import CLIPVisionModelWithProjection

from base.errors import Failure
from zero123.conditioning import Conditioning, join, null_conditioning
from zero123.encoders import weights_digest
from zero123.image_encoder import CLIP_MEAN, CLIP_STD
from zero123.latents import composited, image_from_latent
from zero123.sampling import apply_guidance, ddim, generators_for, noise_rows
from zero123.schedule import Schedule
from zero123.tensors import load_module, read_json

STEPS, GUIDANCE_SCALE = 50, 3.0
"""Those of the model card's example."""
AT_ONCE = 4
"""Pictures sampled together, which bounds the memory."""
SCHEDULER = "scheduler/scheduler_config.json"


class ImageVariations:
    """The model on a device. `hw` is the size of its pictures; `digest` is of all its weights."""

    def __init__(
        self,
        unet: UNet2DConditionModel,
        vae: AutoencoderKL,
        image_encoder: CLIPVisionModelWithProjection,
        schedule: Schedule,
    ) -> None:
        self.unet, self.vae, self.image_encoder, self.schedule = unet, vae, image_encoder, schedule
        for module in (unet, vae, image_encoder):
            module.eval().requires_grad_(requires_grad=False)
        edge = int(unet.config.sample_size) * 8
        self.hw: tuple[int, int] = (edge, edge)
        self.digest = "".join(weights_digest(module)[:16] for module in (unet, vae, image_encoder))

    @classmethod
    def from_folder(cls, folder: Path, device: torch.device) -> Self:
        """Read the folder of a pipeline: safetensors alone, nothing is run or fetched.

        Raises Failure, naming the file, for missing parts, weights in another form, and another kind of network.
        """
        # Old files leave out what was the only choice then. DDIM replaces their solver, with the same noise levels.
        usual = {"prediction_type": "epsilon", "timestep_spacing": "leading", "set_alpha_to_one": False}
        try:
            schedule = Schedule.from_config({**usual, **read_json(folder / SCHEDULER), "clip_sample": False})
        except KeyError as error:
            raise Failure(f"{folder / SCHEDULER}: expected {error.args[0]}, got no such key") from None
        unet = load_module(UNet2DConditionModel, folder / "unet")
        encoder = load_module(CLIPVisionModelWithProjection, folder / "image_encoder")
        widths = (unet.config.in_channels, unet.config.cross_attention_dim)
        if widths != (4, encoder.config.projection_dim):
            raise Failure(
                f"{folder / 'unet'}: expected 4 latents and a context as wide as the image encoder's embedding, "
                f"{encoder.config.projection_dim}, got {widths[0]} and {widths[1]}"
            )
        vae = load_module(AutoencoderKL, folder / "vae")
        for part in (unet, vae, encoder):
            part.float().to(device)
        return cls(unet, vae, encoder, schedule)

    @property
    def device(self) -> torch.device:
        """The computing device."""
        return torch.device(self.unet.device)

    @torch.no_grad()
    def condition(self, rgba: NDArray[np.uint8], count: int) -> Conditioning:
        """The condition of an input uint8 RGBA (H, W, 4) on white, for `count` pictures.

        It is scaled as the model's demo does: bicubic to CLIP's square, without antialiasing.
        """
        images = composited(torch.tensor(rgba[None], device=self.device)) / 2.0 + 0.5
        edge = int(self.image_encoder.config.image_size)
        square = interpolate(images, (edge, edge), mode="bicubic", align_corners=False)
        mean, std = (torch.tensor(values, device=self.device)[:, None, None] for values in (CLIP_MEAN, CLIP_STD))
        token = self.image_encoder(pixel_values=(square - mean) / std).image_embeds[:, None]
        # No input latents: this network sees the noisy latents alone.
        return Conditioning(token.expand(count, -1, -1), token.new_zeros(count, 0, self.hw[0] // 8, self.hw[1] // 8))

    def predict_guided(self, noisy: Tensor, timestep: int, conditioning: Conditioning, scale: float) -> Tensor:
        """The guided answer for noisy latents (N, 4, h, w) at a timestep, in its schedule's kind of prediction."""
        if scale == 1.0:
            return self._predict(noisy, timestep, conditioning)
        both = join(conditioning, null_conditioning(conditioning))
        answers = self._predict(torch.cat([noisy, noisy]), timestep, both)
        return apply_guidance(answers[: len(noisy)], answers[len(noisy) :], scale)

    @torch.no_grad()
    def pictures(
        self,
        rgba: NDArray[np.uint8],
        seeds: Sequence[int],
        *,
        steps: int = STEPS,
        guidance_scale: float = GUIDANCE_SCALE,
    ) -> list[NDArray[np.uint8]]:
        """Return a variation uint8 RGB (H, W, 3) of an input RGBA (H, W, 4) for each seed, by DDIM."""
        found: list[NDArray[np.uint8]] = []
        for first in range(0, len(seeds), AT_ONCE):
            some = seeds[first : first + AT_ONCE]
            condition = self.condition(rgba, len(some))
            shape = (4, self.hw[0] // 8, self.hw[1] // 8)
            latents = ddim(
                lambda noisy, timestep: self.predict_guided(noisy, timestep, condition, guidance_scale),  # noqa: B023
                self.schedule,
                noise_rows(shape, generators_for(some)).to(self.device),
                self.schedule.timesteps(steps),
                eta=0.0,
                fresh=lambda: torch.empty(0),
            )
            images = ((image_from_latent(self.vae, latents) + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8)
            found += list(images.permute(0, 2, 3, 1).cpu().numpy())
        return found

    def _predict(self, noisy: Tensor, timestep: int, conditioning: Conditioning) -> Tensor:
        answer: Any = self.unet(noisy, timestep, encoder_hidden_states=conditioning.context)
        return answer.sample  # type: ignore[no-any-return]
