"""The solvers of second order, against the exact solution for Gaussian data."""

import pytest
import torch
from torch import Tensor

from base.settings import Layer, validate
from zero123.samplers import SOLVERS, sample_latents
from zero123.sampling import generators_for, noise_rows
from zero123.schedule import Schedule, scheduler_config, target_of
from zero123.settings import SamplingSettings

CONFIGS = {
    "paper": scheduler_config(prediction="epsilon", zero_terminal_snr=False, spacing="leading"),
    "small": scheduler_config(prediction="v_prediction", zero_terminal_snr=True, spacing="trailing"),
}
MEAN, SPREAD = 0.6, 0.3


def sampling(sampler: str, steps: int, timesteps: str = "all") -> SamplingSettings:
    values = {"guidance_scale": 1.0, "guidance_interval": [0.0, 1.0], "steps": steps, "eta": 0.0, "sampler": sampler}
    return validate(SamplingSettings, Layer("test", values | {"timesteps": timesteps}))


def sampled(schedule: Schedule, sampler: str, steps: int, start: Tensor, timesteps: str = "all") -> Tensor:
    """Latents by a network that is exact for data of mean 0.6 and deviation 0.3."""

    def exact(noisy: Tensor, timestep: int) -> Tensor:
        alpha, sigma = schedule.alpha_sigma(timestep)
        variance = alpha**2 * SPREAD**2 + sigma**2
        clean = MEAN + alpha * SPREAD**2 / variance * (noisy - alpha * MEAN)
        noise = sigma / variance * (noisy - alpha * MEAN)
        return target_of(clean, noise, alpha, sigma, schedule.prediction)

    return sample_latents(exact, schedule, start, sampling(sampler, steps, timesteps), lambda: torch.zeros_like(start))


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("sampler", SOLVERS)
def test_solvers_converge_faster_than_ddim(sampler: str, name: str) -> None:
    schedule = Schedule.from_config(CONFIGS[name])
    start = noise_rows((4, 24, 24), generators_for([1, 2]))
    truth = sampled(schedule, "ddim", 500, start)

    def error(name: str, steps: int) -> float:
        return float((sampled(schedule, name, steps, start) - truth).abs().mean())

    assert error(sampler, 20) < 0.9 * error("ddim", 20)
    assert error(sampler, 200) < 0.006


@pytest.mark.parametrize("sampler", SOLVERS)
def test_a_solver_draws_the_data(sampler: str) -> None:
    start = noise_rows((4, 24, 24), generators_for([3, 4]))
    got = sampled(Schedule.from_config(CONFIGS["small"]), sampler, 200, start)
    assert float(got.mean()) == pytest.approx(MEAN, abs=0.03)
    assert float(got.std()) == pytest.approx(SPREAD, abs=0.02)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("sampler", SOLVERS)
def test_quadratic_solver_steps_beat_ddim(sampler: str, name: str) -> None:
    schedule = Schedule.from_config(CONFIGS[name])
    start = noise_rows((4, 24, 24), generators_for([1, 2]))
    truth = sampled(schedule, "ddim", 500, start)

    def error(name: str, steps: int, timesteps: str) -> float:
        return float(((sampled(schedule, name, steps, start, timesteps) - truth) ** 2).mean())

    assert error(sampler, 20, "quadratic") < error("ddim", 50, "all")
    assert error(sampler, 20, "quadratic") < error(sampler, 20, "all") / 4.0
