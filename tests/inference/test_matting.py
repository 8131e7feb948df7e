"""Alpha from a known white: exact on flat discs, with the greyish white of an autoencoder too."""

import numpy as np
import pytest

from app.settings import load_settings
from inference.matting import matte_on_white
from inference.settings import MattingSettings

SIDE = 64


@pytest.fixture(scope="module")
def matting() -> MattingSettings:
    return load_settings(None).views.alpha


def disc(colour: tuple[int, int, int], radius: float = 20.0) -> tuple[np.ndarray, np.ndarray]:
    """A disc with an antialiased outline: its colour on white, uint8, and its true alpha in [0, 1]."""
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5 - SIDE / 2
    alpha = np.clip(radius + 0.5 - np.hypot(x, y), 0.0, 1.0)
    on_white = alpha[..., None] * np.array(colour) + (1.0 - alpha[..., None]) * 255.0
    return on_white.round().astype(np.uint8), alpha


@pytest.mark.parametrize("colour", [(200, 30, 40), (20, 20, 20), (230, 225, 120), (90, 160, 220)])
def test_a_flat_object_gets_its_alpha_and_its_colour_back(
    colour: tuple[int, int, int], matting: MattingSettings
) -> None:
    on_white, alpha = disc(colour)
    made = matte_on_white(on_white, matting)
    assert np.abs(made[..., 3] / 255.0 - alpha).max() < 0.12  # the faintest ring may fall below `white_levels`
    assert np.abs(made[..., 3] / 255.0 - alpha).mean() < 0.003
    solid = made[..., 3] > 100
    assert np.abs(made[solid][:, :3].astype(int) - colour).max() <= 6
    mixed = made[..., 3:] / 255.0
    back = made[..., :3] * mixed + 255.0 * (1.0 - mixed)
    assert np.abs(back - on_white).max() <= 13  # on white it is the same picture again


def test_matting_keeps_inner_white(matting: MattingSettings) -> None:
    on_white, alpha = disc((200, 30, 40))
    on_white[28:36, 28:36] = 255
    dimmed = np.clip(on_white.astype(float) * 240.0 / 255.0, 0, 255)
    noise = np.random.default_rng(0).integers(-2, 3, dimmed.shape)
    made = matte_on_white(np.clip(dimmed + noise, 0, 255).round().astype(np.uint8), matting)
    assert (made[28:36, 28:36, 3] == 255).all()
    assert np.abs(made[..., 3] / 255.0 - alpha).mean() < 0.01
    assert made[0, 0, 3] == made[-1, -1, 3] == 0


def test_thin_parts_keep_their_colour(matting: MattingSettings) -> None:
    line = np.full((SIDE, SIDE, 3), 255, np.uint8)
    line[30:32, 5:60] = (30, 30, 120)
    made = matte_on_white(line, matting)
    assert (made[30:32, 5:60, 3] > 240).all()
    assert (made[..., 3] > 0).sum() == 2 * 55


def test_a_view_that_is_all_object_or_all_white(matting: MattingSettings) -> None:
    assert (matte_on_white(np.full((8, 8, 3), 90, np.uint8), matting)[..., 3] == 255).all()
    assert (matte_on_white(np.full((8, 8, 3), 251, np.uint8), matting)[..., 3] == 0).all()
