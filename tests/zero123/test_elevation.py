"""The elevation of a camera, found again from true views of a coloured ball of points: no network is asked."""

import numpy as np
import pytest

from app.settings import load_settings
from geometry.camera import PAPER_LENS, project
from geometry.rig import place_cameras
from zero123.elevation import _estimate, agreement, candidates_deg
from zero123.settings import ElevationSettings

SIDE, RADIUS = 64, 1.85


@pytest.fixture(scope="module")
def settings() -> ElevationSettings:
    return load_settings(None).views.elevation


def picture(polar: float, azimuth: float) -> np.ndarray:
    """A textured ellipsoid, drawn by splatting its points from back to front; RGBA uint8."""
    count = np.arange(60_000) + 0.5
    height, turn = 1.0 - 2.0 * count / len(count), np.pi * (3.0 - np.sqrt(5.0)) * count
    flat = np.sqrt(1.0 - height**2)
    points = np.stack([0.5 * flat * np.cos(turn), 0.3 * flat * np.sin(turn), 0.4 * height], axis=1)
    waves = np.array([[9.0, 4.0, 2.0], [1.0, -8.0, 5.0], [-4.0, 3.0, 10.0]])
    colours = 110.0 + 100.0 * np.sin(points @ waves.T)
    (camera,) = place_cameras(np.array([[polar, azimuth, RADIUS]]))
    depth = -(points @ camera[2, :3] + camera[2, 3])
    order = np.argsort(-depth)
    columns, rows = project(points[order], camera, PAPER_LENS, (SIDE, SIDE)).astype(int).T
    image = np.zeros((SIDE, SIDE, 4), np.uint8)
    image[rows, columns, :3] = colours[order].round().clip(0, 255)
    image[rows, columns, 3] = 255
    return image


@pytest.mark.parametrize("elevation", [-15.0, 10.0, 35.0, 60.0])
def test_agreement_of_true_views_finds_the_elevation(elevation: float, settings: ElevationSettings) -> None:
    polar, turns = np.deg2rad(90.0 - elevation), np.deg2rad(settings.turns_deg)
    photo = picture(polar, 0.3)
    seen = [picture(polar, 0.3 + turn).astype(np.float64) for turn in turns]
    views = np.stack([np.where(one[..., 3:] > 0, one[..., :3], 255.0).astype(np.uint8) for one in seen])
    degrees = candidates_deg(settings)
    scores = [
        agreement(photo, views, turns, float(np.deg2rad(90.0 - one)), RADIUS, PAPER_LENS, settings) for one in degrees
    ]
    found = _estimate(degrees, np.stack(scores, axis=1), "agreement")
    assert found.deg == pytest.approx(elevation, abs=4.0)
    assert found.spread_deg < 5.0


def test_estimate_is_a_parabola_minimum() -> None:
    degrees = np.arange(0.0, 50.0, 10.0)
    scores = np.stack([(degrees - lowest) ** 2 for lowest in (18.0, 22.0, 20.0)])
    found = _estimate(degrees, scores, "noise")
    assert found.deg == pytest.approx(20.0)
    assert found.spread_deg == pytest.approx(2.0)  # √(1/2 · (2² + 2²))
    edge = _estimate(degrees, np.stack([degrees] * 3), "noise")
    assert (edge.deg, edge.spread_deg) == (0.0, 0.0)
