"""Fréchet and kernel distances in closed form and against a direct sum."""

import numpy as np
import pytest

from evaluation.images.frechet import Gaussian, Root, frechet_distance, kernel_distance

ROOTS: tuple[Root, ...] = ("eigenvalues", "sqrtm")


@pytest.mark.parametrize("root", ROOTS)
def test_commuting_gaussians_have_a_closed_form(root: Root) -> None:
    first = Gaussian(np.array([0.0, 1.0, 2.0]), np.diag([1.0, 4.0, 9.0]))
    second = Gaussian(np.array([3.0, 1.0, -2.0]), np.diag([4.0, 4.0, 1.0]))
    assert frechet_distance(first, second, root) == pytest.approx(9 + 16 + (1 - 2) ** 2 + 0 + (3 - 1) ** 2, abs=1e-7)


@pytest.mark.parametrize("root", ROOTS)
def test_two_dimensions_have_a_closed_form(root: Root) -> None:
    # tr √M = √(tr M + 2 √det M) for any 2 × 2 matrix with positive eigenvalues.
    a, b = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([[1.0, -0.3], [-0.3, 3.0]])
    root_trace = np.sqrt(np.trace(a @ b) + 2 * np.sqrt(np.linalg.det(a @ b)))
    zero = np.zeros(2)
    found = frechet_distance(Gaussian(zero, a), Gaussian(zero, b), root)
    assert found == pytest.approx(np.trace(a) + np.trace(b) - 2 * root_trace, abs=1e-9)


def test_covariance_is_unbiased() -> None:
    features = np.array([[0.0, 0.0], [2.0, 4.0]])
    fitted = Gaussian.of(features)
    assert fitted.mean.tolist() == [1.0, 2.0]
    assert fitted.covariance.tolist() == [[2.0, 4.0], [4.0, 8.0]]
    assert frechet_distance(fitted, fitted) == pytest.approx(0.0, abs=1e-6)
    with pytest.raises(ValueError, match="at least 2"):
        Gaussian.of(features[:1])


def test_the_kernel_distance_of_whole_sets_is_a_direct_sum() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(6, 4)), rng.normal(size=(6, 4)) + 1.0

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / 4 + 1) ** 3)

    within = sum(kernel(s[i], s[j]) for s in (x, y) for i in range(6) for j in range(6) if i != j) / 30
    across = sum(kernel(a, b) for a in x for b in y) / 36
    assert kernel_distance(x, y) == pytest.approx(within - 2 * across)
    assert kernel_distance(x, y) == kernel_distance(x[::-1], y)


def test_equal_distributions_have_a_kernel_distance_around_zero() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(2, 300, 8))
    assert abs(kernel_distance(x, y)) < 0.05 < kernel_distance(x, y + 1.0)
