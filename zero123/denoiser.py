"""A batch of views on its way from noise: whatever is the same at all timesteps is computed once."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from zero123.attention import constant_cross_attention
from zero123.conditioning import Conditioning, join
from zero123.model import Zero123Model
from zero123.sampling import apply_guidance
from zero123.settings import SamplingSettings


class Denoiser:
    """Answers for noisy latents (N, 4, h, w) at a timestep, with guidance where the settings want it.

    Both halves of guidance run as a single batch of 2 N rows, those with the condition first.
    """

    def __init__(self, model: Zero123Model, conditioning: Conditioning, sampling: SamplingSettings) -> None:
        last = len(model.schedule.alphas_cumprod) - 1
        low, high = sampling.guidance_interval
        self._model, self._scale, self._rows = model, sampling.guidance_scale, len(conditioning)
        self._guided_timesteps = (low * last, high * last)
        is_guided = sampling.guidance_scale != 1.0
        # Joined once: the condition is the same at every timestep.
        self._both = join(conditioning, model.null(conditioning)) if is_guided else conditioning

    @contextmanager
    def ready(self) -> Iterator["Denoiser"]:
        """Have the UNet on its device within the block, and the constants of cross-attention computed."""
        model = self._model
        with model.working("unet"):
            if model.context_tokens != "one":
                yield self
                return
            with constant_cross_attention(model.unet, self._both.context.to(model.unet.dtype)):
                yield self

    def __call__(self, noisy: Tensor, timestep: int) -> Tensor:
        """The predicted ε or v (N, 4, h, w)."""
        low, high = self._guided_timesteps
        # At scale 1 the unconditional half cancels out, so half of the work is left out.
        if self._scale == 1.0 or not low <= timestep <= high:
            # The rows with the condition come first in `_both`.
            return self._predict(noisy, timestep, self._both.select(slice(self._rows)))
        answers = self._predict(torch.cat([noisy, noisy]), timestep, self._both)
        return apply_guidance(answers[: self._rows], answers[self._rows :], self._scale)

    def _predict(self, noisy: Tensor, timestep: int, conditioning: Conditioning) -> Tensor:
        return self._model.predict(noisy, torch.full((len(noisy),), timestep, device=noisy.device), conditioning)
