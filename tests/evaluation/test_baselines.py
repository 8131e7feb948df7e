"""Trivial answers are exactly what they say."""

import numpy as np

from evaluation.baselines import mean_view, on_white, white_view


def test_on_white_composites() -> None:
    rgba = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 0, 0, 51]]], np.uint8)
    assert on_white(rgba).tolist() == [[[10, 20, 30], [255, 255, 255], [204, 204, 204]]]


def test_white_is_white() -> None:
    assert white_view((2, 3)).shape == (2, 3, 3)
    assert white_view((2, 3)).min() == 255


def test_mean_view_is_the_mean_on_white() -> None:
    views = [np.full((2, 2, 4), (value, value, value, 255), np.uint8) for value in (10, 21)]
    nothing = np.zeros((2, 2, 4), np.uint8)
    assert (mean_view(views) == 16).all()
    assert (mean_view([*views, nothing]) == round((10 + 21 + 255) / 3)).all()
