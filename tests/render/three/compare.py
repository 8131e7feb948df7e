"""How far two pictures of the same view are apart."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SEEN = 5
"""Least alpha, of 255, of what counts as seen: less is a rounding of nothing."""


class Difference(NamedTuple):
    """`colour` is the mean absolute difference of RGBA, of 255, where both see something; `iou` of what each sees."""

    colour: float
    iou: float


def difference(ours: NDArray[np.uint8], theirs: NDArray[np.uint8]) -> Difference:
    """The difference of two pictures (H, W, 4) with straight alpha; nothing in common is 255 and 0."""
    in_ours, in_theirs = ours[..., 3] >= SEEN, theirs[..., 3] >= SEEN
    both, either = in_ours & in_theirs, in_ours | in_theirs
    if not both.any():
        return Difference(255.0, 0.0)
    colour = np.abs(ours[both].astype(np.float64) - theirs[both]).mean()
    return Difference(float(colour), float(both.sum() / either.sum()))


def worst(ours: Sequence[NDArray[np.uint8]], theirs: Sequence[NDArray[np.uint8]]) -> Difference:
    """The worst difference over all views."""
    found = [difference(*pair) for pair in zip(ours, theirs, strict=True)]
    return Difference(max(one.colour for one in found), min(one.iou for one in found))
