"""Openings are judged by their colours: the hollow of a painted bowl stays open, a dent in its outside is closed."""

import numpy as np
import pytest

from geometry.camera import PAPER_LENS
from reconstruct import proof
from reconstruct.depth_maps import Sweep, posed_views
from reconstruct.hull import cell_centres
from reconstruct.proof import without_refuted_openings
from reconstruct.surface import measured_again
from reconstruct.viewpoints import draw_viewpoints
from tests.reconstruct.scenes import small_settings
from tests.reconstruct.test_surface import HALF, painted_views
from tests.reconstruct.test_surface import bowl as bowl_mesh

CELLS = 64


def test_a_hollow_stays_open_and_a_dent_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    cameras = draw_viewpoints(0, 24, (1.5, 2.0))
    images = painted_views(bowl_mesh(), cameras)
    images[..., :3] *= images[..., 3:]
    views, sweep = posed_views(images, cameras, PAPER_LENS), small_settings().surface.sweep
    line = cell_centres(CELLS, HALF)
    x, y, z = np.meshgrid(line, line, line, indexing="ij")
    radius = np.sqrt(x**2 + y**2 + (z - 0.2) ** 2)
    filled = (radius < 0.48) & (z < 0.2)
    hollow = filled & (radius < 0.38)
    # Its rim is outside: .09 deep at the bottom, in a wall of .1.
    dent = filled & (np.sqrt(x**2 + y**2 + (z + 0.4) ** 2) < 0.21)
    cell = line[1] - line[0]
    closed, opened = (
        measured_again(np.where(inside, -cell, cell).astype(np.float32), cell)
        for inside in (filled, filled & ~hollow & ~dent)
    )
    before, after = (Sweep(shape, HALF, views, sweep) for shape in (closed, opened))
    kept = without_refuted_openings(opened, closed, before, after, sweep.refuted)
    assert (kept[hollow] >= 0.0).all()
    assert (kept[dent] < 0.0).all()
    assert ((kept < 0.0) == (filled & ~hollow)).all()
    # Nothing is refuted where the floor may be as bad as it likes.
    assert (without_refuted_openings(opened, closed, before, after, 1e6) == opened).all()
    # The evidence is a number of views: more than see the floor are too many, whatever the share.
    monkeypatch.setattr(proof, "LEAST_SEEN", 1.0)
    assert (without_refuted_openings(opened, closed, before, after, sweep.refuted)[hollow] >= 0.0).all()
    monkeypatch.setattr(proof, "LEAST_SEEN", float(len(cameras)))
    assert (without_refuted_openings(opened, closed, before, after, sweep.refuted)[hollow] < 0.0).all()
