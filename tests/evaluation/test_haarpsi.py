"""HaarPSI against slow loops over the paper's definition, and what every distance must do."""

import numpy as np
import pytest
from scipy.signal import convolve2d
from skimage.data import astronaut

from evaluation.haarpsi import haar, haarpsi, haarpsi_distance

PHOTO = np.ascontiguousarray(astronaut()[60:100, 200:237])
YIQ = ((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))


def noisy(image: np.ndarray, sigma: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0.0, sigma, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def at(channel: list[list[float]], row: int, column: int) -> float:
    """A value, of the nearest pixel where there is none."""
    return channel[min(max(row, 0), len(channel) - 1)][min(max(column, 0), len(channel[0]) - 1)]


def slow_haar(channel: list[list[float]], row: int, column: int, scale: int, axis: int) -> float:
    width, total = 2**scale, 0.0
    for down in range(width):
        for right in range(width):
            sign = 1 if (down, right)[axis] >= width // 2 else -1
            total += sign * at(channel, row + down - width // 2 + 1, column + right - width // 2 + 1) / width
    return abs(total)


def slow_mean(channel: list[list[float]], row: int, column: int) -> float:
    return abs(sum(at(channel, row + down, column + right) for down in (0, 1) for right in (0, 1)) / 4)


def slow_channels(image: np.ndarray) -> list[list[list[float]]]:
    """Y, I and Q of half the size."""
    full = [
        [[sum(a * float(b) for a, b in zip(row, rgb, strict=True)) for rgb in line] for line in image] for row in YIQ
    ]
    rows, columns = range(0, len(image), 2), range(0, len(image[0]), 2)
    blocks = [(0, 0), (0, 1), (1, 0), (1, 1)]
    return [[[sum(at(one, r + i, c + j) for i, j in blocks) / 4 for c in columns] for r in rows] for one in full]


def slow_haarpsi(first: np.ndarray, second: np.ndarray) -> float:
    """HaarPSI of colour pictures as arXiv 1607.06140 has it, one pixel at a time."""

    def alike(x: float, y: float) -> float:
        return (2 * x * y + 30) / (x * x + y * y + 30)

    (y1, i1, q1), (y2, i2, q2) = slow_channels(first), slow_channels(second)
    above, below = 0.0, 0.0
    for row in range(len(y1)):
        for column in range(len(y1[0])):
            places, weights = [], []
            for axis in (0, 1):
                fine = [[slow_haar(one, row, column, scale, axis) for one in (y1, y2)] for scale in (1, 2)]
                places.append((alike(*fine[0]) + alike(*fine[1])) / 2)
                weights.append(max(slow_haar(one, row, column, 3, axis) for one in (y1, y2)))
            colours = [[slow_mean(one, row, column) for one in both] for both in ((i1, i2), (q1, q2))]
            places.append((alike(*colours[0]) + alike(*colours[1])) / 2)
            weights.append((weights[0] + weights[1]) / 2)
            above += sum(w / (1 + np.exp(-4.2 * place)) for place, w in zip(places, weights, strict=True))
            below += sum(weights)
    return float((np.log(above / below / (1 - above / below)) / 4.2) ** 2)


@pytest.mark.parametrize("sigma", [10.0, 60.0])
def test_it_is_that_of_the_slow_loops(sigma: float) -> None:
    other = noisy(PHOTO, sigma)
    assert haarpsi_distance(other, PHOTO) == pytest.approx(1.0 - slow_haarpsi(other, PHOTO), abs=1e-9)


def test_a_step_is_found_across_its_axis_alone() -> None:
    channel = np.zeros((8, 8))
    channel[:, 4:] = 16.0
    assert haar(channel, 1, 0).max() == 0.0
    assert haar(channel, 1, 1).argmax(axis=1).tolist() == [3] * 8
    assert haar(channel, 1, 1).max() == 16.0, "2 of 2 pixels on either side, halved"


def test_distance_is_symmetric_and_zero_for_equal_pictures() -> None:
    other = noisy(PHOTO, 30.0)
    assert haarpsi_distance(PHOTO, PHOTO) == pytest.approx(0.0, abs=1e-12)
    assert haarpsi_distance(other, PHOTO) == haarpsi_distance(PHOTO, other)
    assert 0.0 < haarpsi_distance(255 - PHOTO, PHOTO) <= 1.0


def test_more_noise_is_farther() -> None:
    apart = [haarpsi_distance(noisy(PHOTO, sigma), PHOTO) for sigma in (2.0, 5.0, 10.0, 20.0, 40.0, 80.0)]
    assert apart == sorted(apart)
    assert apart[0] < 0.05
    assert apart[-1] > 0.4


def test_white_around_an_object_earns_nothing() -> None:
    first, second = np.full((2, 64, 64, 3), 255, np.uint8)
    first[24:40, 24:40], second[24:40, 24:40] = PHOTO[:16, :16], PHOTO[16:32, 16:32]
    more = [np.pad(one, ((32, 32), (32, 32), (0, 0)), constant_values=255) for one in (first, second)]
    assert haarpsi_distance(*more) == pytest.approx(haarpsi_distance(first, second), abs=1e-12)


def test_pictures_without_an_edge_differ_in_colour_alone() -> None:
    red, blue = (np.full((16, 16, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 0, 255)))
    assert haarpsi_distance(red, red) == pytest.approx(0.0, abs=1e-12)
    assert 0.0 < haarpsi_distance(red, blue) < 1.0


def published_haarpsi(first: np.ndarray, second: np.ndarray) -> float:
    """HaarPSI as its authors' code has it: zero padding, MATLAB's `same`, halved by a mean of 2 × 2."""

    def same(data: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        return np.rot90(convolve2d(np.rot90(data, 2), np.rot90(kernel, 2), mode="same"), 2)

    def similarity(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (2 * a * b + 30) / (a**2 + b**2 + 30)

    halves = [
        [same(channel, np.ones((2, 2)) / 4)[::2, ::2] for channel in np.moveaxis(image @ np.array(YIQ).T, -1, 0)]
        for image in (first.astype(float), second.astype(float))
    ]
    kernels = []
    for scale in (1, 2, 3):
        kernel = 2.0**-scale * np.ones((2**scale, 2**scale))
        kernel[: len(kernel) // 2] *= -1
        kernels.append(kernel)
    similarities, weights = [], []
    for turned in (False, True):
        a, b = ([np.abs(same(half[0], k.T if turned else k)) for k in kernels] for half in halves)
        similarities.append((similarity(a[0], b[0]) + similarity(a[1], b[1])) / 2)
        weights.append(np.maximum(a[2], b[2]))
    i, q = (similarity(*(np.abs(same(half[c], np.ones((2, 2)) / 4)) for half in halves)) for c in (1, 2))
    similarities.append((i + q) / 2)
    weights.append((weights[0] + weights[1]) / 2)
    mean = (np.array(weights) / (1 + np.exp(-4.2 * np.array(similarities)))).sum() / np.sum(weights)
    return float((np.log(mean / (1 - mean)) / 4.2) ** 2)


@pytest.mark.parametrize("sigma", [3.0, 20.0, 80.0])
def test_the_standard_convention_is_that_of_the_authors(sigma: float) -> None:
    image = noisy(PHOTO, sigma)
    assert haarpsi(image, PHOTO) == pytest.approx(published_haarpsi(image, PHOTO), abs=1e-12)
    assert haarpsi(image, PHOTO) != pytest.approx(haarpsi(image, PHOTO, edge_padded=True), abs=1e-6)
    assert haarpsi(PHOTO, PHOTO) == pytest.approx(1.0)
