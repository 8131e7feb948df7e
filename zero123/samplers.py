"""The samplers by name: our DDIM, and the second-order solvers of diffusers on our timesteps."""

from collections.abc import Sequence
from typing import Any

import torch
from diffusers import DPMSolverMultistepScheduler, UniPCMultistepScheduler
from torch import Tensor

from zero123.sampling import FreshNoise, Predict, ddim
from zero123.schedule import Schedule
from zero123.settings import SamplingSettings

SOLVERS = {"unipc": UniPCMultistepScheduler, "dpmsolver++": DPMSolverMultistepScheduler}
LEAST_ALPHA_CUMPROD = 2.0**-24
"""diffusers' replacement for ᾱ = 0, to keep σ/α finite at zero terminal SNR."""


def sample_latents(
    predict: Predict, schedule: Schedule, start: Tensor, sampling: SamplingSettings, fresh: FreshNoise
) -> Tensor:
    """Clean latents from pure noise `start` (N, 4, h, w) by the sampler of the settings."""
    timesteps = schedule.timesteps(sampling.steps, sampling.timesteps)
    if sampling.sampler == "ddim":
        return ddim(predict, schedule, start, timesteps, eta=sampling.eta, fresh=fresh)
    solver = solver_for(sampling.sampler, schedule, timesteps)
    latents = start
    for timestep in timesteps:
        latents = solver.step(predict(latents, timestep), timestep, latents, return_dict=False)[0]
    return latents


def solver_for(name: str, schedule: Schedule, timesteps: Sequence[int]) -> Any:
    """Return a solver of diffusers with our timesteps and our noise levels, in float64."""
    solver = SOLVERS[name](
        num_train_timesteps=len(schedule.alphas_cumprod),
        prediction_type=schedule.prediction,
        solver_order=2,
        final_sigmas_type="zero" if schedule.final == 1.0 else "sigma_min",
    )
    solver.set_timesteps(len(timesteps))
    # diffusers spaces timesteps in ways of its own, and has no way to give UniPC others.
    levels = [*(float(schedule.alphas_cumprod[timestep]) for timestep in timesteps), schedule.final]
    alphas_cumprod = torch.tensor(levels, dtype=torch.float64).clamp_min(LEAST_ALPHA_CUMPROD)
    solver.sigmas = ((1.0 - alphas_cumprod) / alphas_cumprod).sqrt()
    solver.timesteps = torch.tensor(timesteps)
    # Otherwise the solver searches the timestep in its own list, where two may be equal.
    solver.set_begin_index(0)
    return solver
