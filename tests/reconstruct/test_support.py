"""What silhouettes demand: a pin whose tip hangs on nothing stays, a crumb in front of the object goes."""

import numpy as np
import pytest

from geometry.camera import PAPER_LENS
from reconstruct.hull import cell_centres
from reconstruct.support import Silhouettes, fill_silhouettes, without_needless_parts
from reconstruct.viewpoints import draw_viewpoints

HW = (64, 64)
HALF = 0.52
CELLS = 48


def grid(inside: np.ndarray) -> np.ndarray:
    return np.where(inside, -0.01, 0.01).astype(np.float32)


def shapes() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the cells of a ball, of a tip above it that touches nothing, and of a crumb in a hollow of the ball."""
    line = cell_centres(CELLS, HALF)
    x, y, z = np.meshgrid(line, line, line, indexing="ij")
    radius = np.sqrt(x**2 + y**2 + (z + 0.15) ** 2)
    tip = (np.hypot(x, y) < 0.025) & (z > 0.25) & (z < 0.45)
    return (radius < 0.3) & (radius > 0.15), tip, radius < 0.05


@pytest.fixture(scope="module")
def silhouettes() -> Silhouettes:
    """The silhouettes of the ball and the tip."""
    ball, tip, _ = shapes()
    cameras = draw_viewpoints(0, 12, (1.5, 2.0))
    seen = Silhouettes(np.zeros((12, *HW), np.float32), cameras, PAPER_LENS, HALF)
    line = cell_centres(CELLS, HALF).astype(np.float32)
    points = np.stack([line[index] for index in np.nonzero(ball | tip)], axis=1)
    for view, alpha in enumerate(seen.alphas):
        alpha.reshape(-1)[seen.pixels(view, points)] = 1.0
    return seen


def test_a_loose_part_stays_if_silhouettes_show_it_and_goes_if_not(silhouettes: Silhouettes) -> None:
    ball, tip, crumb = shapes()
    line = cell_centres(CELLS, HALF)
    open_bottom = ball & (line > -0.25)  # so that the hollow is not closed, and the crumb not filled in
    kept = without_needless_parts(grid(open_bottom | tip | crumb), 0.05, silhouettes)
    assert (kept[tip] < 0.0).all()
    assert (kept[crumb] > 0.0).all()
    np.testing.assert_array_equal(kept < 0.0, open_bottom | tip)


def test_a_closed_hollow_is_filled(silhouettes: Silhouettes) -> None:
    ball, tip, crumb = shapes()
    kept = without_needless_parts(grid(ball | tip), 0.05, silhouettes)
    assert (kept[crumb] < 0.0).all()
    empty = np.ones((8, 8, 8), np.float32)
    assert without_needless_parts(empty, 0.05, silhouettes) is empty


def test_an_opening_through_a_silhouette_is_closed_but_not_a_hollow(silhouettes: Silhouettes) -> None:
    ball, tip, crumb = shapes()
    hull = grid(ball | tip | crumb)
    # The tip is lost but for a trace of distance in its axis; the hollow is open.
    opened = np.where(tip, 0.02, hull).astype(np.float32)
    opened[crumb] = 0.03
    filled = fill_silhouettes(opened, hull, silhouettes)
    line = cell_centres(CELLS, HALF)
    heights = line[np.nonzero((filled < 0.0) & tip)[2]]
    assert heights.min() < 0.28
    assert heights.max() > 0.42
    assert (filled[crumb] == opened[crumb]).all()
    assert (filled >= hull).all()
