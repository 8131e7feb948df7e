"""PSNR in closed form, with its infinity, its foreground and the floor of CO3D."""

import math

import numpy as np
import pytest

from evaluation.images.psnr import co3d_psnr_db, foreground_psnr_db, mask_iou, psnr_db


@pytest.mark.parametrize("delta", [1.0, 0.5, 0.1, 1 / 255])
def test_a_constant_difference_has_minus_twenty_log_delta(delta: float) -> None:
    true = np.full((9, 7, 3), 0.5)
    signs = np.where(np.indices(true.shape).sum(0) % 2, 1.0, -1.0)
    assert psnr_db(true + delta * signs, true) == pytest.approx(-20 * math.log10(delta), abs=1e-12)


def test_equal_pictures_are_infinitely_alike() -> None:
    assert psnr_db(np.zeros((4, 4, 3)), np.zeros((4, 4, 3))) == math.inf


def test_foreground_psnr() -> None:
    true, mask = np.zeros((4, 4, 3)), np.zeros((4, 4), bool)
    image = np.ones((4, 4, 3))
    assert math.isnan(foreground_psnr_db(image, true, mask))
    mask[1, 1], image[1, 1] = True, 0.1
    assert foreground_psnr_db(image, true, mask) == pytest.approx(20.0)


def test_co3d_psnr_masks_and_is_capped() -> None:
    true, mask = np.full((2, 2, 3), 0.5), np.array([[True, False], [False, False]])
    assert co3d_psnr_db(true * mask[..., None], true, mask, over="masked") == 100.0
    assert co3d_psnr_db(true, true, mask, over="masked") == pytest.approx(-10 * math.log10(0.25 * 0.75))
    assert co3d_psnr_db(true + 0.1, true, mask, over="foreground") == pytest.approx(20.0)
    assert co3d_psnr_db(true, true, mask, over="full") == 100.0


def test_mask_iou() -> None:
    full, half = np.ones((2, 2), bool), np.array([[True, True], [False, False]])
    assert mask_iou(half, full) == 0.5
    assert mask_iou(~full, ~full) == 1.0
    assert mask_iou(~full, full) == 0.0
