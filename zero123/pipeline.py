"""`Zero123Pipeline`: one view of an object and camera moves in, the object seen from there out (arXiv 2303.11328)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from base.errors import Failure, UsageError
from geometry.relative import with_input_polar
from zero123.attention import use_single_token_attention
from zero123.conditioning import Conditioning, joined, null_conditioning
from zero123.device import torch_device
from zero123.image_encoder import ContextTokens, ImageEncoder, LatentEncoder, image_embedding
from zero123.latents import (
    Autoencoder,
    composited,
    condition_from_target,
    condition_latent,
    image_from_latent,
    target_latent,
)
from zero123.projection import CCProjection
from zero123.sampling import ddim, generators_for, guided, noise_rows
from zero123.schedule import Schedule

PoseSlot4 = Literal["radius_difference", "input_polar"]
LatentOrigin = Literal["zero", "white"]


@dataclass
class Zero123Pipeline:
    """The parts of a model and how they work together.

    `hw` is the size of its views in pixels; `pose_slot4` says what the pose's fourth number means; `latent_origin` is
    what the UNet takes for nothing (see `predict`); `context_tokens` whether the input view is one token or one a
    patch; `references` names frozen parts that a checkpoint need not hold: part → where its weights are.
    """

    unet: UNet2DConditionModel
    vae: Autoencoder
    image_encoder: ImageEncoder
    cc_projection: CCProjection
    scheduler: DDIMScheduler
    hw: tuple[int, int]
    pose_slot4: PoseSlot4
    latent_origin: LatentOrigin = "zero"
    context_tokens: ContextTokens = "one"
    references: dict[str, dict[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.schedule = Schedule.from_config(self.scheduler.config)
        for module in self.modules().values():
            module.eval().requires_grad_(requires_grad=False)
        if self.context_tokens == "one":
            use_single_token_attention(self.unet)
        self._origin = self._white() if self.latent_origin == "white" else None

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: str = "cpu") -> "Zero123Pipeline":
        """The model in a checkpoint's folder. Raises Failure, in one sentence, for anything that is not one."""
        from zero123.checkpoint import load_checkpoint

        return load_checkpoint(Path(folder)).to(device)

    def save_pretrained(self, folder: str | Path, file_bytes: int | None = None) -> None:
        """Write a checkpoint in diffusers' layout; frozen parts that `references` names are not written again.

        A part with more than `file_bytes` of tensors is split into files of at most so many, with an index of them.
        """
        from zero123.checkpoint import save_checkpoint

        save_checkpoint(self, Path(folder), file_bytes)

    def modules(self) -> dict[str, Any]:
        """The networks by the names of their folders."""
        return {
            "unet": self.unet,
            "vae": self.vae,
            "image_encoder": self.image_encoder,
            "cc_projection": self.cc_projection,
        }

    def to(self, device: str) -> "Zero123Pipeline":
        """This pipeline, moved in place to a torch device, or to the best there is for `auto`."""
        place = torch_device(device)
        for module in self.modules().values():
            module.to(place)
        self._origin = None if self._origin is None else self._origin.to(place)
        return self

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return torch.device(self.unet.device)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(4, h, w) of one view's latents."""
        return (4, self.hw[0] // 8, self.hw[1] // 8)

    @torch.no_grad()
    def condition(self, rgba: ArrayLike | Tensor, pose: ArrayLike | Tensor) -> Conditioning:
        """The condition for input views uint8 RGBA (N, H, W, 4), or one for all, and poses (N, 4)."""
        images = self.images(rgba)
        moves = torch.as_tensor(np.asarray(pose), dtype=torch.float32, device=self.device)
        if moves.ndim != 2 or moves.shape[1] != 4 or len(images) not in (1, len(moves)):
            raise Failure(f"pose: expected ({len(images)}, 4), got {tuple(moves.shape)}")
        latents = condition_latent(self.vae, images)
        embedding = self.embedding(images, latents).expand(len(moves), -1, -1)
        return Conditioning(self.cc_projection(embedding, moves), latents.expand(len(moves), -1, -1, -1))

    def embedding(self, images: Tensor | None, condition: Tensor) -> Tensor:
        """The image encoder's vectors (N, K, E); it reads `images` (N, 3, H, W) or their `condition` latents."""
        return image_embedding(self.image_encoder, images, self._from_origin(condition), self.context_tokens)

    def told(self, pose: ArrayLike, input_polar_rad: float | None) -> NDArray[np.float64]:
        """Poses (N, 4) as this model was taught them: its slot 4 may be the input camera's polar angle.

        Raises UsageError when the model needs that angle and it is not known.
        """
        if self.pose_slot4 == "radius_difference":
            return np.asarray(pose, np.float64)
        if input_polar_rad is None:
            raise UsageError("expected the elevation of the input's camera, which this model is told, got none")
        return with_input_polar(pose, input_polar_rad)

    def null(self, conditioning: Conditioning) -> Conditioning:
        """The condition that says nothing: zeros after the projection and zero latents."""
        return null_conditioning(conditioning)

    def images(self, rgba: ArrayLike | Tensor) -> Tensor:
        """uint8 RGBA (N, H, W, 4) on white as (N, 3, *hw) in [−1, 1], resized where needed; Failure for other input."""
        pixels = torch.as_tensor(rgba if isinstance(rgba, Tensor) else np.array(rgba)).to(self.device)
        if pixels.dtype != torch.uint8 or pixels.ndim != 4 or pixels.shape[3] != 4 or 0 in pixels.shape:
            raise Failure(f"input view: expected uint8 (N, H, W, 4), got {pixels.dtype} {tuple(pixels.shape)}")
        images = composited(pixels)
        height, width = images.shape[2:]
        if height * self.hw[1] != width * self.hw[0]:
            raise Failure(f"input view: expected the shape of {self.hw}, got {height} × {width}")
        if (height, width) == tuple(self.hw):
            return images
        return interpolate(images, self.hw, mode="bicubic", antialias=True, align_corners=False).clamp(-1.0, 1.0)

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """The predicted ε or v for noisy latents (N, 4, h, w) at timesteps (N,).

        With the origin m at white, the UNet sees x_t − α m and answers for x_0 − m: its v is higher by σ m. The latents
        keep their meaning, and a white background costs the UNet nothing to learn. Conditions are seen from m as well.
        """
        if self._origin is None:
            return self._answer(noisy, timesteps, conditioning)
        alpha, sigma = (value.to(noisy)[:, None, None, None] for value in self.schedule.alpha_sigma(timesteps))
        answer = self._answer(noisy - alpha * self._origin, timesteps, conditioning)
        return answer if self.schedule.prediction == "epsilon" else answer - sigma * self._origin

    def _answer(self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        context = conditioning.context
        labels = context.mean(1) if self.unet.config.class_embed_type == "projection" else None
        joint = torch.cat([noisy, self._from_origin(conditioning.latents).to(noisy)], dim=1)
        return self.unet(joint, timesteps, encoder_hidden_states=context, class_labels=labels).sample  # type: ignore[no-any-return]

    def predict_guided(self, noisy: Tensor, timestep: int, conditioning: Conditioning, scale: float) -> Tensor:
        """The guided answer at one timestep; both halves of guidance run as one batch, and scale 1 needs only one."""
        timesteps = torch.full((len(noisy),), timestep, device=noisy.device)
        if scale == 1.0:
            return self.predict(noisy, timesteps, conditioning)
        both = joined(conditioning, self.null(conditioning))
        answers = self.predict(torch.cat([noisy, noisy]), torch.cat([timesteps, timesteps]), both)
        return guided(answers[: len(noisy)], answers[len(noisy) :], scale)

    @torch.no_grad()
    def __call__(
        self,
        rgba: NDArray[np.uint8],
        pose: ArrayLike,
        *,
        guidance_scale: float,
        steps: int,
        eta: float,
        seeds: Sequence[int],
    ) -> NDArray[np.uint8]:
        """Views uint8 (N, H, W, 3) of `rgba` (H, W, 4)'s object after camera moves `pose` (N, 4); one seed each."""
        conditioning = self.condition(np.asarray(rgba)[None], np.asarray(pose, np.float64).reshape(-1, 4))
        if len(seeds) != len(conditioning):
            raise Failure(f"seeds: expected {len(conditioning)}, one for each pose, got {len(seeds)}")
        generators = generators_for(seeds)
        start = noise_rows(self.latent_shape, generators).to(self.device)
        latents = ddim(
            lambda noisy, timestep: self.predict_guided(noisy, timestep, conditioning, guidance_scale),
            self.schedule,
            start,
            steps=steps,
            eta=eta,
            generators=generators,
        )
        return self.pictures(latents)

    def _from_origin(self, condition: Tensor) -> Tensor:
        return condition if self._origin is None else condition - condition_from_target(self._origin)

    @torch.no_grad()
    def _white(self) -> Tensor:
        """The latents (1, 4, h, w) of a white picture."""
        return target_latent(self.vae, torch.ones(1, 3, *self.hw, device=self.device))

    @torch.no_grad()
    def pictures(self, latents: Tensor) -> NDArray[np.uint8]:
        """Latents (N, 4, h, w) as pictures uint8 (N, H, W, 3)."""
        images = ((image_from_latent(self.vae, latents) + 1.0) * 127.5).round().clamp(0, 255)
        pictures: NDArray[np.uint8] = images.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        return pictures


def trained_parts(pipeline: Zero123Pipeline) -> dict[str, Any]:
    """The networks that learn: UNet, projection, and the image encoder unless it is CLIP."""
    parts = {"unet": pipeline.unet, "cc_projection": pipeline.cc_projection}
    return parts | (
        {"image_encoder": pipeline.image_encoder} if isinstance(pipeline.image_encoder, LatentEncoder) else {}
    )
