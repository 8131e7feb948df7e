"""SSIM variants against scikit-image, against a brute force, and against figures of torchmetrics."""

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from evaluation.images.ssim import SSIM_VARIANTS, ssim

Floats = NDArray[np.float64]


def waves(seed: int, side: int = 40) -> tuple[Floats, Floats]:
    """Make a smooth picture and a noisy copy, the same in every NumPy."""
    y, x = np.indices((side, side)) / side
    base = np.stack([np.sin(7 * x + seed), np.cos(5 * y - x), np.sin(9 * x * y)], -1) * 0.35 + 0.5
    noise = np.sin(np.arange(base.size).reshape(base.shape) * 12.9898 * (seed + 1)) * 0.1
    return base, np.clip(base + noise, 0, 1)


@pytest.mark.parametrize("seed", range(3))
def test_gauss_and_uniform_are_those_of_scikit_image(seed: int) -> None:
    true, image = waves(seed)
    gauss = structural_similarity(
        image, true, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1, channel_axis=-1
    )
    assert ssim(image, true, "gauss") == pytest.approx(gauss, abs=1e-12)
    for width in (7, 11):
        expected = structural_similarity(image, true, win_size=width, data_range=1, channel_axis=-1)
        assert ssim(image, true, f"uniform{width}") == pytest.approx(expected, abs=1e-12)  # type: ignore[arg-type]


# structural_similarity_index_measure of torchmetrics 1.4.1 (old) and 1.8.2 (new) on waves(0..2) in float32.
TORCHMETRICS: dict[str, tuple[float, float, float]] = {
    "tm-old": (0.48330312967300415, 0.5111575722694397, 0.49880191683769226),
    "tm-new": (0.49854645133018494, 0.48900294303894043, 0.4956745505332947),
}


@pytest.mark.parametrize("name", TORCHMETRICS)
@pytest.mark.parametrize("seed", range(3))
def test_torchmetrics_gave_the_same(name: str, seed: int) -> None:
    true, image = waves(seed)
    assert ssim(image, true, name) == pytest.approx(TORCHMETRICS[name][seed], abs=3e-4)  # type: ignore[arg-type]


def brute_force(image: Floats, true: Floats, name: str) -> float:
    variant = SSIM_VARIANTS[name]  # type: ignore[index]
    window = np.outer(variant.window, variant.window)
    width = len(window)
    level = max(np.ptp(image), np.ptp(true)) if variant.per_image_range else 1.0
    values = []
    for row in range(image.shape[0] - width + 1):
        for column in range(image.shape[1] - width + 1):
            for channel in range(3):
                a, b = (p[row : row + width, column : column + width, channel] for p in (image, true))
                ma, mb = (window * a).sum(), (window * b).sum()
                factor = width**2 / (width**2 - 1) if variant.sample_covariance else 1.0
                va, vb = (factor * (window * (p - m) ** 2).sum() for p, m in ((a, ma), (b, mb)))
                cov = factor * (window * (a - ma) * (b - mb)).sum()
                c1, c2 = (0.01 * level) ** 2, (0.03 * level) ** 2
                values.append((2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2)))
    return float(np.mean(values))


@pytest.mark.parametrize("name", ["gauss", "tm-old", "uniform7", "uniform11"])
def test_a_window_at_a_time_gives_the_same(name: str) -> None:
    true, image = waves(4, side=16)
    assert ssim(image, true, name) == pytest.approx(brute_force(image, true, name), abs=1e-10)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SSIM_VARIANTS)
def test_equal_pictures_have_one_and_the_order_does_not_matter(name: str) -> None:
    true, image = waves(5)
    flat = np.ones((16, 16, 3))
    assert ssim(true, true, name) == pytest.approx(1.0, abs=1e-12)  # type: ignore[arg-type]
    assert ssim(flat, flat, name) == pytest.approx(1.0)  # type: ignore[arg-type]
    assert ssim(true, image, name) == ssim(image, true, name)  # type: ignore[arg-type]


def test_pictures_below_a_window_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 11"):
        ssim(np.ones((8, 20, 3)), np.ones((8, 20, 3)), "gauss")
