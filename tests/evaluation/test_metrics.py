"""Metrics against scikit-image, slow obvious loops, and hand-made cases."""

import numpy as np
from skimage.metrics import peak_signal_noise_ratio

from evaluation.metrics import PSNR_CAP_DB, psnr, silhouette_iou, ssim


def noisy_pair(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    true = np.kron(rng.integers(0, 256, (6, 5, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    return np.clip(true + rng.normal(0, 20, true.shape), 0, 255).astype(np.uint8), true


def slow_ssim(image: np.ndarray, true: np.ndarray) -> float:
    """Wang et al. 2004, eq. 13: an 11 × 11 Gaussian window of σ 1.5 at every place where it fits."""
    offsets = np.arange(-5, 6)
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    c1, c2, values = (0.01 * 255) ** 2, (0.03 * 255) ** 2, []
    for channel in range(3):
        a, b = image[..., channel].astype(float), true[..., channel].astype(float)
        for row in range(5, a.shape[0] - 5):
            for column in range(5, a.shape[1] - 5):
                x, y = (m[row - 5 : row + 6, column - 5 : column + 6] for m in (a, b))
                mx, my = (window * x).sum(), (window * y).sum()
                vx, vy = (window * x * x).sum() - mx**2, (window * y * y).sum() - my**2
                cov = (window * x * y).sum() - mx * my
                values.append((2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
    return float(np.mean(values))


def test_psnr_is_that_of_scikit_image() -> None:
    for seed in range(5):
        image, true = noisy_pair(seed)
        assert abs(psnr(image, true) - peak_signal_noise_ratio(true, image, data_range=255)) < 1e-9


def test_psnr_of_known_errors() -> None:
    true = np.full((4, 4, 3), 100, np.uint8)
    assert psnr(true, true) == PSNR_CAP_DB
    assert abs(psnr(np.zeros_like(true), np.full_like(true, 255))) < 1e-12
    assert abs(psnr(true + np.uint8(51), true) - 20 * np.log10(5)) < 1e-9


def test_ssim_is_that_of_the_slow_loop() -> None:
    image, true = noisy_pair(0)
    assert abs(ssim(image, true) - slow_ssim(image, true)) < 1e-3
    assert ssim(true, true) == 1.0


def test_iou() -> None:
    left, right = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    assert silhouette_iou(left, right) == 1.0
    left[:, :2], right[:, 1:3] = True, True
    assert silhouette_iou(left, right) == 1 / 3
    assert silhouette_iou(left, ~left) == 0.0
