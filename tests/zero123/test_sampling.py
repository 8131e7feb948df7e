"""The schedule and DDIM, against diffusers' own."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from torch import Tensor

from base.errors import Failure
from zero123.sampling import apply_guidance, ddim, generators_for, noise_rows
from zero123.schedule import Schedule, add_noise, clean_and_noise, scheduler_config, target_of

PAPER = scheduler_config(prediction="epsilon", zero_terminal_snr=False, spacing="leading")
SMALL = scheduler_config(prediction="v_prediction", zero_terminal_snr=True, spacing="trailing")


@pytest.mark.parametrize("config", [PAPER, SMALL], ids=["paper", "small"])
def test_the_schedule_is_diffusers(config: dict) -> None:
    ours, theirs = Schedule.from_config(config), DDIMScheduler(**config)
    torch.testing.assert_close(ours.alphas_cumprod.float(), theirs.alphas_cumprod, rtol=1e-3, atol=2e-6)
    for steps in (5, 25, 50, 100):
        theirs.set_timesteps(steps)
        assert ours.timesteps(steps) == theirs.timesteps.tolist()


def test_original_timesteps_omit_the_noisiest() -> None:
    """Its `make_ddim_timesteps` ("uniform") and the `[:-1]` of its sampler, written out."""
    paper = Schedule.from_config(PAPER)
    for steps in (2, 3, 30, 49, 50, 75, 100, 999, 1000):
        theirs = (np.asarray(list(range(0, 1000, 1000 // steps))) + 1)[:-1]
        assert paper.timesteps(steps, "original") == theirs[::-1].tolist()
    assert [len(paper.timesteps(steps, "original")) for steps in (30, 50, 75)] == [30, 49, 76]
    assert (paper.timesteps(50, "original")[0], paper.timesteps(50)[0]) == (961, 981)
    with pytest.raises(Failure, match="timesteps: expected all for a schedule with trailing spacing, got original"):
        Schedule.from_config(SMALL).timesteps(50, "original")
    with pytest.raises(Failure, match="steps: expected at least 2 for the original's timesteps, got 1"):
        paper.timesteps(1, "original")


@pytest.mark.parametrize("config", [PAPER, SMALL], ids=["paper", "small"])
def test_quadratic_timesteps(config: dict) -> None:
    schedule = Schedule.from_config(config)
    for steps in (1, 2, 3, 20, 50, 137, 500, 999, 1000):
        found = schedule.timesteps(steps, "quadratic")
        assert (len(found), found[0]) == (steps, schedule.timesteps(steps)[0])
        assert all(later < earlier for earlier, later in pairwise(found))
        assert min(found) >= 0
    assert schedule.timesteps(20, "quadratic")[-3:] in ([21, 9, 2], [20, 9, 1])


def test_only_small_models_start_from_pure_noise() -> None:
    paper, small = Schedule.from_config(PAPER), Schedule.from_config(SMALL)
    assert (paper.timesteps(50)[0], paper.timesteps(50)[-1]) == (981, 1)
    assert small.timesteps(20)[0] == 999
    assert [float(value) for value in small.alpha_sigma(999)] == [0.0, 1.0]
    assert float(paper.alphas_cumprod[-1]) > 0.004
    torch.testing.assert_close(small.alphas_cumprod[0], paper.alphas_cumprod[0])


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_target_recovers_clean_latents(prediction: str) -> None:
    schedule = Schedule.from_config(scheduler_config(prediction=prediction, zero_terminal_snr=False, spacing="leading"))
    clean, noise = torch.randn(2, 8, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    alpha, sigma = schedule.alpha_sigma(torch.arange(8) * 120)
    noisy = add_noise(clean, noise, alpha, sigma)
    answer = target_of(clean, noise, alpha, sigma, schedule.prediction)
    got_clean, got_noise = clean_and_noise(answer, noisy, alpha, sigma, schedule.prediction)
    torch.testing.assert_close(got_clean, clean, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(got_noise, noise, rtol=1e-3, atol=1e-3)


def network(noisy: Tensor, timestep: int) -> Tensor:
    """Something smooth that depends on both."""
    return torch.tanh(noisy.roll(1, 2) * 0.7 + timestep / 1000.0)


@pytest.mark.parametrize(
    ("config", "eta"),
    [
        (PAPER, 0.0),
        (PAPER, 1.0),
        (SMALL, 0.0),
        (SMALL, 0.9),
    ],  # diffusers takes the root of −ε for the small one at η = 1
)
def test_ddim_is_diffusers(config: dict, eta: float) -> None:
    seeds, shape, steps = [3, 4], (4, 5, 5), 20
    start = noise_rows(shape, generators_for(seeds))
    schedule, drawn = Schedule.from_config(config), generators_for([7, 8])
    ours = ddim(network, schedule, start, schedule.timesteps(steps), eta=eta, fresh=lambda: noise_rows(shape, drawn))
    theirs = DDIMScheduler(**config)
    theirs.set_timesteps(steps)
    latents, fresh = start, generators_for([7, 8])
    for timestep in theirs.timesteps:
        noise = noise_rows(shape, fresh) if eta else None
        latents = theirs.step(
            network(latents, int(timestep)), timestep, latents, eta=eta, variance_noise=noise
        ).prev_sample
    torch.testing.assert_close(ours, latents, rtol=2e-3, atol=2e-3)


def test_ddim_of_a_perfect_network_gives_the_clean_latents() -> None:
    clean = torch.randn(2, 4, 5, 5, generator=torch.Generator().manual_seed(0))
    schedule = Schedule.from_config(SMALL)

    def knows(noisy: Tensor, timestep: int) -> Tensor:
        alpha, sigma = schedule.alpha_sigma(timestep)
        return target_of(clean, (noisy - alpha * clean) / sigma, alpha, sigma, schedule.prediction)

    start = noise_rows((4, 5, 5), generators_for([0, 1]))
    for eta in (0.0, 1.0):
        got = ddim(knows, schedule, start, schedule.timesteps(7), eta=eta, fresh=lambda: torch.randn_like(start))
        torch.testing.assert_close(got, clean, rtol=1e-4, atol=1e-4)


def test_guidance_is_a_line_through_both_answers() -> None:
    with_condition, without = torch.tensor([3.0]), torch.tensor([1.0])
    assert [float(apply_guidance(with_condition, without, scale)) for scale in (0.0, 1.0, 3.0)] == [1.0, 3.0, 7.0]


def test_a_schedule_that_cannot_be_followed_is_named() -> None:
    with pytest.raises(Failure, match="beta_schedule: expected scaled_linear, got 'linear'"):
        Schedule.from_config(PAPER | {"beta_schedule": "linear"})
    with pytest.raises(Failure, match="steps: expected 1 to 1000, got 0"):
        Schedule.from_config(PAPER).timesteps(0)
