"""The cut-out without weights on made-up photos whose truth is known."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from bench.composites import composite
from photo.border import BorderCut, cut_by_border
from photo.checks import doubt
from photo.cutout import CutOut, levels
from photo.ground import fit_ground
from photo.regions import large_pieces, reaching_border
from tests.photo.pictures import Pixels, disc, settings

SETTINGS = settings()
HW = (128, 160)


def ring(colour: tuple[int, int, int]) -> Pixels:
    """A ring with a bar: an object with a hole, RGBA."""
    rgba = np.zeros((*HW, 4), np.uint8)
    inside = disc(HW, (64, 70), 34) & ~disc(HW, (64, 70), 16)
    inside[58:70, 100:135] = True
    rgba[inside] = (*colour, 255)
    return rgba


def blob(colour: tuple[int, int, int]) -> Pixels:
    """A solid body with some shading, RGBA."""
    rgba = np.zeros((*HW, 4), np.uint8)
    inside = disc(HW, (60, 80), 32)
    shade = 0.75 + 0.25 * np.cos(np.arange(HW[1]) / 30.0)
    rgba[..., :3] = np.asarray(colour) * shade[None, :, None]
    rgba[..., 3] = inside * 255
    return rgba


def iou(cut: BorderCut, rgba: Pixels) -> float:
    inside, truth = cut.mask > 0.5, rgba[..., 3] > 127
    return float((inside & truth).sum() / (inside | truth).sum())


def unsure(cut: BorderCut, photo: Pixels) -> str | None:
    found = CutOut(np.dstack([photo, levels(cut.mask)]), "border", cut.confidence, checked=True)
    return doubt(found, SETTINGS.checks)


@pytest.mark.parametrize("kind", ["plain", "gradient"])
@pytest.mark.parametrize("colour", [(200, 40, 40), (30, 60, 160), (20, 20, 20)])
def test_an_object_with_a_hole_before_a_wall(kind: str, colour: tuple[int, int, int]) -> None:
    rgba = ring(colour)
    photo = composite(rgba, kind, np.random.default_rng(3))
    cut = cut_by_border(photo, SETTINGS.border)
    assert iou(cut, rgba) > 0.9
    assert cut.mask[64, 70] < 0.1  # through the hole one sees the wall


def test_a_soft_shadow_is_no_part_of_the_object() -> None:
    rgba = blob((200, 60, 40))
    photo = composite(rgba, "shadow", np.random.default_rng(1))
    cut = cut_by_border(photo, SETTINGS.border)
    assert iou(cut, rgba) > 0.93
    assert unsure(cut, photo) is None


def test_a_texture_is_told_apart_by_grab_cut() -> None:
    rgba = blob((40, 90, 200))
    photo = composite(rgba, "wood", np.random.default_rng(1))
    cut = cut_by_border(photo, SETTINGS.border)
    assert iou(cut, rgba) > 0.93


def test_an_object_of_the_walls_colour_is_refused_or_found() -> None:
    """Noise alone is no object."""
    rng = np.random.default_rng(0)
    photo = np.clip(np.full((*HW, 3), 170) + rng.normal(0, 2, (*HW, 3)), 0, 255).astype(np.uint8)
    assert unsure(cut_by_border(photo, SETTINGS.border), photo) is not None


def test_a_jumble_is_doubtful() -> None:
    rng = np.random.default_rng(0)
    patches = ndimage.zoom(rng.integers(0, 256, (9, 11, 3)), (14.3, 14.6, 1), order=0)[: HW[0], : HW[1]]
    photo = np.asarray(patches, np.uint8)
    assert unsure(cut_by_border(photo, SETTINGS.border), photo) is not None


def test_the_same_picture_gives_the_same_mask() -> None:
    photo = composite(blob((40, 90, 200)), "noise", np.random.default_rng(1))
    first, second = (cut_by_border(photo, SETTINGS.border) for _ in range(2))
    np.testing.assert_array_equal(first.mask, second.mask)


def test_edge_pixels_lose_the_walls_colour() -> None:
    """A red disc before a green wall: half-covered pixels are red, not brown."""
    big = disc((512, 640), (250, 300), 120.5)
    alpha = big.reshape(128, 4, 160, 4).mean((1, 3))
    photo = np.rint(alpha[..., None] * (200, 30, 30) + (1 - alpha[..., None]) * (40, 170, 60)).astype(np.uint8)
    cut = cut_by_border(photo, SETTINGS.border)
    np.testing.assert_allclose(cut.mask, alpha, atol=0.35)
    half = (alpha > 0.4) & (alpha < 0.9)
    assert (
        np.abs(cut.rgb[half].astype(int) - (200, 30, 30)).mean()
        < np.abs(photo[half].astype(int) - (200, 30, 30)).mean() / 2
    )


def test_a_smooth_ground_is_found_below_an_object() -> None:
    rows, columns = np.meshgrid(np.linspace(0, 1, 60), np.linspace(0, 1, 80), indexing="ij")
    true = np.stack([60 + 20 * rows - 10 * columns**2, 5 * rows * columns, 3 - 6 * columns], axis=-1)
    lab = true + np.random.default_rng(0).normal(0, 0.3, true.shape)
    lab[20:45, 30:60] = (20.0, 40.0, 30.0)
    ground = fit_ground(lab)
    np.testing.assert_allclose(ground.colours, true, atol=0.6)
    assert ground.roughness < 1.0
    assert ground.distance(lab)[30, 40] > 20


def flood(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The slow way: grow from the border until nothing changes."""
    edge = np.zeros_like(mask)
    edge[[0, -1]] = edge[:, [0, -1]] = True
    reached = mask & edge
    while (more := ndimage.binary_dilation(reached) & mask).sum() > reached.sum():
        reached = more
    return reached


def test_regions_by_a_slow_reference() -> None:
    rng = np.random.default_rng(0)
    for _ in range(10):
        mask = rng.random((20, 24)) < 0.55
        np.testing.assert_array_equal(reaching_border(mask), flood(mask))
    pieces = np.zeros((20, 20), bool)
    pieces[2:12, 2:12] = pieces[15:17, 15:17] = True
    assert large_pieces(pieces, 0.1).sum() == 100
    assert large_pieces(pieces, 0.01).sum() == 104
    assert large_pieces(np.zeros((4, 4), bool), 0.1).sum() == 0
