"""The model: its networks, and how they answer together (arXiv 2303.11328)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from base.errors import Failure, UsageError
from geometry.relative import with_input_polar
from zero123.attention import use_single_token_attention
from zero123.conditioning import Conditioning, EncodedView, join, null_conditioning
from zero123.defaults import usual_sampling
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
from zero123.sampling import apply_guidance
from zero123.schedule import Schedule
from zero123.settings import SamplingSettings

PoseSlot4 = Literal["radius_difference", "input_polar"]
LatentOrigin = Literal["zero", "white"]


@dataclass
class Zero123Model:
    """The parts of a model and how they work together.

    `hw` is the size of its views in pixels; `pose_slot4` says what the pose's fourth number means; `latent_origin` is
    the UNet's zero point (see `predict`); `context_tokens` says whether the input view becomes one token or a token for
    each patch; `references` maps frozen parts, not necessarily held by a checkpoint, to the sources of their weights;
    `sampling` holds the defaults for sampling, those usual for its schedule where nothing else is known.
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
    sampling: SamplingSettings | None = None

    def __post_init__(self) -> None:
        self.schedule = Schedule.from_config(self.scheduler.config)
        for module in self.modules().values():
            # Frozen by default; training switches on what it trains.
            module.eval().requires_grad_(requires_grad=False)
        if self.context_tokens == "one":
            use_single_token_attention(self.unet)
        self._offloaded_to: torch.device | None = None
        self._white_latent = self._white() if self.latent_origin == "white" else None

    @property
    def defaults(self) -> SamplingSettings:
        """The sampling defaults: the model's own, or those usual for its schedule."""
        return self.sampling or usual_sampling(self.schedule.spacing)

    def modules(self) -> dict[str, Any]:
        """The networks by the names of their folders."""
        return {
            "unet": self.unet,
            "vae": self.vae,
            "image_encoder": self.image_encoder,
            "cc_projection": self.cc_projection,
        }

    def to(self, device: str) -> Self:
        """Move this model in place to a torch device, `auto` for the best of this machine, and return it."""
        self._offloaded_to = None
        return self._move(torch_device(device))

    def offload(self, device: str) -> Self:
        """Keep the networks in main memory and move each to the accelerator `device` only while it works."""
        self._move(torch.device("cpu"))
        self._offloaded_to = torch_device(device)
        return self

    @property
    def device(self) -> torch.device:
        """The computing device."""
        return self._offloaded_to or torch.device(self.unet.device)

    @property
    def dtype(self) -> torch.dtype:
        """The type of latents and conditions: float32, also for networks in half precision, or float64."""
        return torch.float64 if self.unet.dtype == torch.float64 else torch.float32

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(4, h, w) of a view's latents."""
        return (4, self.hw[0] // 8, self.hw[1] // 8)

    @contextmanager
    def working(self, *parts: str) -> Iterator[None]:
        """Have the named parts on the computing device within the block; only `offload` makes a difference."""
        if self._offloaded_to is None:
            yield
            return
        modules = [self.modules()[part] for part in parts]
        try:
            for module in modules:
                module.to(self._offloaded_to)
            yield
        finally:
            for module in modules:
                # Also after an error: the next network needs the memory.
                module.to("cpu")

    @torch.no_grad()
    def encode(self, rgba: ArrayLike | Tensor) -> EncodedView:
        """Encode input views uint8 RGBA (N, H, W, 4) for any number of camera moves."""
        images = self.images(rgba)
        with self.working("vae"):
            latents = condition_latent(self.vae, images.to(self.vae.dtype)).to(self.dtype)
        with self.working("image_encoder"):
            return EncodedView(self.embedding(images, latents).to(self.dtype), latents)

    @torch.no_grad()
    def condition_of(self, view: EncodedView, pose: ArrayLike | Tensor) -> Conditioning:
        """The condition for encoded input views (N), or one for all, and poses (N, 4)."""
        moves = torch.as_tensor(np.asarray(pose), dtype=self.dtype, device=self.device)
        if moves.ndim != 2 or moves.shape[1] != 4 or len(view.latents) not in (1, len(moves)):
            raise Failure(f"pose: expected ({len(view.latents)}, 4), got {tuple(moves.shape)}")
        # Expanded, not copied: an input view serves any number of moves.
        embedding = view.embedding.expand(len(moves), -1, -1)
        with self.working("cc_projection"):
            context = self.cc_projection(embedding.to(self.cc_projection.dtype), moves).to(self.dtype)
        return Conditioning(context, view.latents.expand(len(moves), -1, -1, -1))

    def condition(self, rgba: ArrayLike | Tensor, pose: ArrayLike | Tensor) -> Conditioning:
        """The condition for input views uint8 RGBA (N, H, W, 4), or one for all, and poses (N, 4)."""
        return self.condition_of(self.encode(rgba), pose)

    def embedding(self, images: Tensor | None, condition: Tensor) -> Tensor:
        """The image encoder's vectors (N, K, E) of `images` (N, 3, H, W) or of their `condition` latents."""
        return image_embedding(self.image_encoder, images, self._from_origin(condition), self.context_tokens)

    def adapt_poses(self, pose: ArrayLike, input_polar_rad: float | None) -> NDArray[np.float64]:
        """Return poses (N, 4) in the form of this model's training: slot 4 may be the input camera's polar angle.

        Raises UsageError when the model needs an unknown angle.
        """
        if self.pose_slot4 == "radius_difference":
            return np.asarray(pose, np.float64)
        if input_polar_rad is None:
            raise UsageError("this model needs the elevation of the input's camera, which is not given")
        return with_input_polar(pose, input_polar_rad)

    def null(self, conditioning: Conditioning) -> Conditioning:
        """The empty condition: zeros after the projection and zero latents."""
        return null_conditioning(conditioning)

    def images(self, rgba: ArrayLike | Tensor) -> Tensor:
        """uint8 RGBA (N, H, W, 4) on white as (N, 3, *hw) in [−1, 1], resized where needed; Failure for other input."""
        pixels = torch.as_tensor(rgba if isinstance(rgba, Tensor) else np.array(rgba)).to(self.device)
        if pixels.dtype != torch.uint8 or pixels.ndim != 4 or pixels.shape[3] != 4 or 0 in pixels.shape:
            raise Failure(f"input view: expected uint8 (N, H, W, 4), got {pixels.dtype} {tuple(pixels.shape)}")
        images = composited(pixels, dtype=self.dtype)
        height, width = images.shape[2:]
        if height * self.hw[1] != width * self.hw[0]:
            raise Failure(f"input view: expected the shape of {self.hw}, got {height} × {width}")
        if (height, width) == tuple(self.hw):
            return images
        # Bicubic overshoots at edges, hence the clamp.
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
        dtype = self.unet.dtype
        context = conditioning.context.to(dtype)
        labels = context.mean(1) if self.unet.config.class_embed_type == "projection" else None
        # The channel order of the original's checkpoints: noisy target, then condition.
        joint = torch.cat([noisy, self._from_origin(conditioning.latents).to(noisy)], dim=1).to(dtype)
        answer: Tensor = self.unet(joint, timesteps, encoder_hidden_states=context, class_labels=labels).sample
        return answer if dtype == noisy.dtype else answer.to(noisy.dtype)

    def predict_guided(self, noisy: Tensor, timestep: int, conditioning: Conditioning, scale: float) -> Tensor:
        """The guided answer at a timestep; both halves of guidance run as a batch, and scale 1 needs a half."""
        timesteps = torch.full((len(noisy),), timestep, device=noisy.device)
        if scale == 1.0:
            return self.predict(noisy, timesteps, conditioning)
        both = join(conditioning, self.null(conditioning))
        answers = self.predict(torch.cat([noisy, noisy]), torch.cat([timesteps, timesteps]), both)
        return apply_guidance(answers[: len(noisy)], answers[len(noisy) :], scale)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> NDArray[np.uint8]:
        """Decode latents (N, 4, h, w) to pictures uint8 (N, H, W, 3)."""
        with self.working("vae"):
            decoded = image_from_latent(self.vae, latents.to(self.vae.dtype)).to(self.dtype)
        # Rounded: a plain cast to bytes would cut and darken pictures by half a level.
        images = ((decoded + 1.0) * 127.5).round().clamp(0, 255)
        pictures: NDArray[np.uint8] = images.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        return pictures

    def _move(self, device: torch.device) -> Self:
        for module in self.modules().values():
            module.to(device)
        return self

    def _from_origin(self, condition: Tensor) -> Tensor:
        if self._origin is None:
            return condition
        return condition - condition_from_target(self._origin)

    @property
    def _origin(self) -> Tensor | None:
        """The UNet's zero point (1, 4, h, w) on the computing device, None for zero latents."""
        if self._white_latent is None:
            return None
        # Moved on use: it is no part of any network, so `to` does not reach it.
        if self._white_latent.device != self.device or self._white_latent.dtype != self.dtype:
            self._white_latent = self._white_latent.to(self.device, self.dtype)
        return self._white_latent

    @torch.no_grad()
    def _white(self) -> Tensor:
        """The latents (1, 4, h, w) of a white picture."""
        return target_latent(self.vae, torch.ones(1, 3, *self.hw, device=self.device))


def trained_parts(model: Zero123Model) -> dict[str, Any]:
    """Return the trained networks: UNet, projection, and the image encoder unless it is CLIP."""
    parts = {"unet": model.unet, "cc_projection": model.cc_projection}
    return parts | ({"image_encoder": model.image_encoder} if isinstance(model.image_encoder, LatentEncoder) else {})
