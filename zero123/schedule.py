"""The noise schedule.

t in 0 … T−1 is the timestep; ᾱ(t) the share of signal variance left; α = √ᾱ and σ = √(1 − ᾱ) weigh signal and noise,
x_t = α x_0 + σ ε. v = α ε − σ x_0 (arXiv 2202.00512).
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from base.errors import Failure

Prediction = Literal["epsilon", "v_prediction"]
TimestepRule = Literal["original", "all", "quadratic"]

TIMESTEPS = 1000
BETA_START, BETA_END = 0.00085, 0.012


def scheduler_config(*, prediction: str, zero_terminal_snr: bool, spacing: str) -> dict[str, Any]:
    """The schedule as the configuration of diffusers' DDIMScheduler; Stable Diffusion's betas."""
    trailing = spacing == "trailing"
    return {
        "num_train_timesteps": TIMESTEPS,
        "beta_start": BETA_START,
        "beta_end": BETA_END,
        "beta_schedule": "scaled_linear",
        "clip_sample": False,
        "set_alpha_to_one": trailing,
        "steps_offset": 0 if trailing else 1,
        "prediction_type": prediction,
        "rescale_betas_zero_snr": zero_terminal_snr,
        "timestep_spacing": spacing,
    }


def scaled_linear_alphas(count: int, beta_start: float, beta_end: float) -> Float64[Tensor, " {count}"]:
    """Return ᾱ (count,) in float64 of a schedule with linearly rising √β."""
    # In float64, as the original computes it.
    betas = torch.linspace(beta_start**0.5, beta_end**0.5, count, dtype=torch.float64) ** 2
    return torch.cumprod(1.0 - betas, dim=0)


def with_zero_terminal_snr(alphas_cumprod: Float64[Tensor, " T"]) -> Float64[Tensor, " T"]:
    """Return ᾱ shifted and scaled to a last value of 0, with the first kept (arXiv 2305.08891, algorithm 1)."""
    root = alphas_cumprod.sqrt()
    return ((root - root[-1]) * (root[0] / (root[0] - root[-1]))) ** 2


@dataclass(frozen=True)
class Schedule:
    """ᾱ (T,) in float64, the kind of prediction, and the spacing of a sampler's timesteps.

    `final` is ᾱ after the last step: 1, or ᾱ(0) as in the original.
    """

    alphas_cumprod: Float64[Tensor, " T"]
    prediction: Prediction
    spacing: Literal["leading", "trailing"]
    offset: int
    final: float

    @classmethod
    def from_config(cls, config: Any) -> "Schedule":
        """The schedule of a DDIMScheduler configuration. Raises Failure for a schedule it cannot follow."""
        expected = {
            "beta_schedule": ("scaled_linear",),
            "prediction_type": ("epsilon", "v_prediction"),
            "timestep_spacing": ("leading", "trailing"),
            "clip_sample": (False,),
        }
        for key, values in expected.items():
            if config.get(key) not in values:
                raise Failure(f"scheduler: {key}: expected {' or '.join(map(str, values))}, got {config.get(key)!r}")
        alphas = scaled_linear_alphas(config["num_train_timesteps"], config["beta_start"], config["beta_end"])
        if config.get("rescale_betas_zero_snr"):
            alphas = with_zero_terminal_snr(alphas)
        final = 1.0 if config["set_alpha_to_one"] else float(alphas[0])
        return cls(alphas, config["prediction_type"], config["timestep_spacing"], config.get("steps_offset", 0), final)

    def alpha_sigma(self, timesteps: Tensor | int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """α and σ shaped as `timesteps`, on their device."""
        which = torch.as_tensor(timesteps)
        alphas = self.alphas_cumprod
        alpha, sigma = (table.sqrt().to(which.device, dtype) for table in (alphas, 1.0 - alphas))
        return alpha[which], sigma[which]

    def is_last(self, timesteps: Tensor) -> Tensor:
        """Whether timesteps are the last, the noisiest."""
        return timesteps == len(self.alphas_cumprod) - 1

    def timesteps(self, steps: int, rule: TimestepRule = "all") -> list[int]:
        """The timesteps of a sampler from the noisiest down: `steps` of them, or the original's number for `steps`.

        The original program spaces its timesteps as `leading` does, with one more where `steps` does not divide T, and
        then drops the noisiest: 50 steps are 49 evaluations from t = 961, 30 are 30 from 958, its demo's 75 are 76.
        Raises Failure for a number of steps outside 1 … T, and for the original's rule with another spacing.
        """
        count = len(self.alphas_cumprod)
        if not 1 <= steps <= count:
            raise Failure(f"steps: expected 1 to {count}, got {steps}")
        if rule == "original":
            return self._original_timesteps(steps)
        evenly = self._even_timesteps(steps)
        return evenly if rule == "all" else _quadratic(evenly[0], steps)

    def _even_timesteps(self, steps: int) -> list[int]:
        count = len(self.alphas_cumprod)
        if self.spacing == "trailing":
            # Trailing spacing begins at the very last timestep, where zero-terminal SNR is pure noise.
            return [round(count - index * count / steps) - 1 for index in range(steps)]
        stride = count // steps
        return [min(index * stride + self.offset, count - 1) for index in reversed(range(steps))]

    def _original_timesteps(self, steps: int) -> list[int]:
        if self.spacing != "leading":
            raise Failure(f"timesteps: expected all for a schedule with {self.spacing} spacing, got original")
        count = len(self.alphas_cumprod)
        ascending = [start + self.offset for start in range(0, count, count // steps)][:-1]
        if not ascending:
            raise Failure(f"steps: expected at least 2 for the original's timesteps, got {steps}")
        return ascending[::-1]


def _quadratic(first: int, steps: int) -> list[int]:
    """Return `steps` timesteps from `first` down, spaced as the squares of even numbers (arXiv 2010.02502, D.3).

    Few even steps end far from 0, and the last step of any solver is then a plain guess at the clean latents: 20 end at
    t = 49, where σ is still .22. Squares crowd near 0.
    """
    found = list[int]()
    for index in range(steps):
        left = steps - index
        # Strictly falling, and with room for the steps that are left: near 0 squares would repeat.
        wanted = max(round((first + 1) * (left / steps) ** 2) - 1, left - 1)
        found.append(min(wanted, found[-1] - 1) if found else first)
    return found


def add_noise(
    clean: Float[Tensor, "*shape"], noise: Float[Tensor, "*shape"], alpha: Tensor, sigma: Tensor
) -> Float[Tensor, "*shape"]:
    """x_t = α x_0 + σ ε; α and σ are scalars or (N,)."""
    return _wide(alpha, clean) * clean + _wide(sigma, clean) * noise


def target_of(
    clean: Float[Tensor, "*shape"],
    noise: Float[Tensor, "*shape"],
    alpha: Tensor,
    sigma: Tensor,
    prediction: Prediction,
) -> Float[Tensor, "*shape"]:
    """What the network should answer: ε, or v = α ε − σ x_0."""
    if prediction == "epsilon":
        return noise
    return _wide(alpha, clean) * noise - _wide(sigma, clean) * clean


def clean_and_noise(
    output: Float[Tensor, "*shape"],
    noisy: Float[Tensor, "*shape"],
    alpha: Tensor,
    sigma: Tensor,
    prediction: Prediction,
) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
    """x_0 and ε as the network's answer `output` for `noisy` implies them.

    ε-prediction: x_0 = (x_t − σ ε) / α. v-prediction: x_0 = α x_t − σ v, ε = α v + σ x_t.
    """
    alpha, sigma = _wide(alpha, noisy), _wide(sigma, noisy)
    if prediction == "epsilon":
        return (noisy - sigma * output) / alpha, output
    return alpha * noisy - sigma * output, alpha * output + sigma * noisy


def _wide(value: Tensor, like: Tensor) -> Tensor:
    value = value.to(like.device, like.dtype)
    return value if value.ndim == 0 else value.reshape(-1, *[1] * (like.ndim - 1))
