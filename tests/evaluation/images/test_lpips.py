"""LPIPS: the four known values of its example pictures, symmetry, and weights of strangers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file

from base.errors import Failure, UsageError
from evaluation.images.lpips import CHANNELS, Lpips, Trunk, _shapes
from tests.evaluation.shared import LPIPS, needs_lpips

EXAMPLES = Path(__file__).parent / "lpips_examples"
KNOWN: dict[Trunk, tuple[float, float]] = {"alex": (0.7219, 0.1376), "vgg": (0.5686, 0.4217)}


def example(name: str) -> NDArray[np.float64]:
    return np.asarray(Image.open(EXAMPLES / f"{name}.png").convert("RGB")) / 255.0


def random_tensors(trunk: Trunk) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return {
        name: torch.rand(shape, generator=generator) / max(1, int(np.prod(shape[1:])))
        for name, shape in _shapes(trunk).items()
    }


@needs_lpips
@pytest.mark.parametrize("trunk", KNOWN)
def test_the_examples_have_their_known_distances(trunk: Trunk) -> None:
    lpips = Lpips.from_folder(LPIPS, trunk)
    found = [lpips.distance(example("ex_ref"), example(name)) for name in ("ex_p0", "ex_p1")]
    assert found == pytest.approx(KNOWN[trunk], abs=6e-5)
    assert lpips.distance(example("ex_ref"), example("ex_ref")) == 0.0


@pytest.mark.parametrize("trunk", CHANNELS)
def test_distances_are_symmetric_and_repeatable(trunk: Trunk) -> None:
    lpips = Lpips(trunk, random_tensors(trunk))
    first, second = np.random.default_rng(0).random((2, 40, 40, 3))
    assert lpips.distance(first, second) > 0.0
    assert lpips.distance(first, second) == pytest.approx(lpips.distance(second, first), rel=1e-9)
    assert lpips.distance(first, second) == lpips.distance(first, second)
    assert lpips.distance(first, second, scaled=False) != lpips.distance(first, second)


def test_missing_and_other_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"alex\.safetensors: expected the LPIPS weights"):
        Lpips.from_folder(tmp_path, "alex")
    tensors = random_tensors("alex")
    save_file(
        {name: tensor for name, tensor in tensors.items() if name != "head.4.weight"}, tmp_path / "alex.safetensors"
    )
    with pytest.raises(Failure, match=r"head\.4\.weight"):
        Lpips.from_folder(tmp_path, "alex")
