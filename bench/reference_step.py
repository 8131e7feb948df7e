"""The reference training step: diffusers' modules used plainly, as in the original trainer and its diffusers port.

Views are composited and encoded in the step (VAE for both, CLIP for the input), the network runs eagerly with its own
attention, AdamW and the averages are the libraries' defaults.
"""

import copy
from contextlib import AbstractContextManager

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor2_0
from diffusers.training_utils import EMAModel
from torch import Tensor
from torch.nn.functional import mse_loss

from train.collate import CollatedPairs
from zero123.image_encoder import LatentEncoder, clip_pixels
from zero123.latents import composited, condition_latent, target_latent
from zero123.pipeline import Zero123Pipeline


class ReferenceStep:
    """A model of the same architecture and precision as `like`'s, and a plain step on it."""

    def __init__(self, like: Zero123Pipeline, rate: float, clock: "Clock") -> None:  # type: ignore[name-defined]  # noqa: F821
        self.like, self.clock = like, clock
        with like.device:
            self.unet = UNet2DConditionModel.from_config(like.unet.config).train()
        # torch's fused attention, diffusers' own fast way: the other side must be the strongest fair version.
        self.unet.set_attn_processor(AttnProcessor2_0())
        self.projection = copy.deepcopy(like.cc_projection).requires_grad_(requires_grad=True)
        self.encoder = copy.deepcopy(like.image_encoder)
        self.parts = (self.unet, self.projection, self.encoder, like.vae)
        trained = [self.unet, self.projection, *([self.encoder] if isinstance(self.encoder, LatentEncoder) else [])]
        for module in trained:
            module.requires_grad_(requires_grad=True)
        parameters = [parameter for module in trained for parameter in module.parameters()]
        self.optimiser = torch.optim.AdamW(parameters, lr=rate)
        self.average = EMAModel(self.unet.parameters(), decay=0.9999)

    def take(self, parts: list[CollatedPairs], autocast: AbstractContextManager[object]) -> None:
        """Take a step on the parts of a batch."""
        for part in parts:
            with autocast:
                loss = self._loss(part) / len(parts)
            with self.clock("backward"):
                loss.backward()
        with self.clock("optimiser"):
            self.optimiser.step()
            self.optimiser.zero_grad()
            self.average.step(self.unet.parameters())

    def _loss(self, part: CollatedPairs) -> Tensor:
        like, schedule = self.like, self.like.schedule
        with self.clock("encode"), torch.no_grad():
            images, targets = composited(part.source), composited(part.target)
            condition = condition_latent(like.vae, images).float()
            target = target_latent(like.vae, targets, part.draws.posterior).float()
        with self.clock("forward"):
            embedding = self._embedding(images, condition)
            context = self.projection(embedding, part.pose)
            alpha, sigma = (value[:, None, None, None] for value in schedule.alpha_sigma(part.timesteps))
            noisy = alpha * target + sigma * part.draws.noise
            labels = context[:, 0] if self.unet.config.class_embed_type == "projection" else None
            answer = self.unet(torch.cat([noisy, condition], 1), part.timesteps, context, class_labels=labels).sample
            wanted = part.draws.noise
            if schedule.prediction == "v_prediction":
                # v = α ε − σ x₀, see zero123.schedule.
                wanted = alpha * part.draws.noise - sigma * target
            return mse_loss(answer.float(), wanted)

    def _embedding(self, images: Tensor, condition: Tensor) -> Tensor:
        if isinstance(self.encoder, LatentEncoder):
            return self.encoder(condition)  # type: ignore[no-any-return]
        with torch.no_grad():
            return self.encoder(pixel_values=clip_pixels(images)).image_embeds[:, None]  # type: ignore[no-any-return]
