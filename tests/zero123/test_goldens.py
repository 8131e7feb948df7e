"""Our whole chain against numbers that the original's own code made, on the same weights (see original.py).

The largest difference is told as a share of the largest number of each golden tensor.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from torch import Tensor

from tests.zero123.networks import settings
from tests.zero123.original import goldens, noise, weight
from zero123.conditioning import Conditioning
from zero123.denoiser import Denoiser
from zero123.latents import image_from_latent
from zero123.layouts.ldm import Parts, fill_parts, ldm_state
from zero123.modules import new_image_encoder, new_sd_vae, new_unet
from zero123.pipeline import Zero123Pipeline
from zero123.projection import CCProjection
from zero123.samplers import sample_latents
from zero123.schedule import scheduler_config

MOST = {torch.float32: 1e-4, torch.float64: 2e-6}
WANTED = settings(
    hw=[256, 256],
    autoencoder="sd",
    image_encoder={"kind": "clip", "embedding": 768, "channels": []},
    unet={
        "channels": [32, 64, 128, 128], "attention": [True, True, True, False], "layers": 2, "heads": 8,
        "norm_groups": 32, "context": 768,
    },
    prediction="epsilon", zero_terminal_snr=False, timestep_spacing="leading",
)  # fmt: skip

pytestmark = pytest.mark.slow


class Formula(Mapping[str, Tensor]):
    """The original's checkpoint, each tensor made when it is asked for."""

    def __init__(self, shapes: dict[str, tuple[int, ...]]) -> None:
        self._shapes = shapes

    def __getitem__(self, name: str) -> Tensor:
        return weight(name, self._shapes[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def __len__(self) -> int:
        return len(self._shapes)


def original(dtype: torch.dtype) -> Zero123Pipeline:
    """The original's model of the goldens' sizes, filled by the loader of its checkpoints."""
    scheduler = DDIMScheduler(**scheduler_config(prediction="epsilon", zero_terminal_snr=False, spacing="leading"))
    with torch.device("meta"):
        parts = Parts(new_unet(WANTED), new_sd_vae(), new_image_encoder(WANTED), CCProjection())
    empty = Zero123Pipeline(*parts, scheduler, WANTED.hw, "radius_difference")
    state = Formula({name: tuple(tensor.shape) for name, tensor in ldm_state(empty).items()})
    fill_parts(parts, state, where="the formula", ema=False)
    model = Zero123Pipeline(*parts, scheduler, WANTED.hw, "radius_difference")
    for module in model.modules().values():
        module.to(dtype)
    return model


@torch.no_grad()
@pytest.mark.parametrize("dtype", MOST, ids=["float32", "float64"])
def test_every_number_is_the_originals(dtype: torch.dtype, figure: Callable[[str, object], None]) -> None:
    golden, model = goldens(), original(dtype)
    photo = golden["photo"].numpy()
    rgba = np.concatenate([photo, np.full((256, 256, 1), 255, np.uint8)], axis=2)
    found: dict[str, Tensor] = {}

    view = model.encode(rgba[None])
    model.image_encoder = None  # type: ignore[assignment]  # 1.2 GB, or twice as much
    found["clip_embedding"], found["condition_latent"] = view.embedding[:, 0], view.latents
    conditioning = model.condition_of(view, golden["pose"].numpy())
    found["context"] = conditioning.context

    start = golden["start"].to(dtype)
    assert torch.equal(golden["start"], noise(1))
    at = [model.predict(start, torch.full((2,), int(t)), conditioning) for t in golden["timesteps"]]
    # Each golden answer belongs to its own row and timestep.
    found["eps"] = torch.stack([at[0][0], at[1][1]])

    for eta in (0.0, 1.0):
        found[f"ddim50_eta{eta:.0f}"] = sampled(model, conditioning, start, eta)
    decoded = image_from_latent(model.vae, found["ddim50_eta0"][:1])
    found["decoded"] = ((decoded + 1.0) / 2.0).clamp(0.0, 1.0)

    errors = {name: float((got.double() - golden[name].double()).abs().max()) / float(golden[name].abs().max())
              for name, got in found.items()}  # fmt: skip
    for name, error in errors.items():
        figure(name, f"{error:.1e}")
    assert {name: error for name, error in errors.items() if not error <= MOST[dtype]} == {}


def sampled(model: Zero123Pipeline, conditioning: Conditioning, start: Tensor, eta: float) -> Tensor:
    sampling = model.sampling_with(eta=eta)
    assert sampling.steps == 50
    assert sampling.guidance_scale == 3.0
    assert sampling.timesteps == "original"
    numbers = iter(range(100, 200))
    with Denoiser(model, conditioning, sampling).ready() as predict:
        return sample_latents(predict, model.schedule, start, sampling, lambda: noise(next(numbers)))
