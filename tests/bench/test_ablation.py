"""The ablation: every step measured on an egg, and a start from the hull that fields need no steps to profit from."""

from pathlib import Path

import numpy as np
import pytest

from bench.ablation import ablation_table, measure_ablation, optimise_density
from bench.scans import draw, load_scan
from reconstruct.settings import ReconstructSettings, StageSettings
from reconstruct.viewpoints import draw_viewpoints
from tests.reconstruct.scenes import small_settings

HW = (64, 64)


def short(steps: int) -> ReconstructSettings:
    return small_settings().model_copy(update={"stages": (StageSettings(resolution=24, steps=steps),)})


def test_a_field_from_the_hull_is_empty_outside(egg: Path) -> None:
    scan, cameras = load_scan(egg), draw_viewpoints(0, 8, (1.5, 2.2))
    images = np.stack([draw(scan, camera, HW, lit=True) for camera in cameras]).astype(np.float32) / 255.0
    filled, carved = (optimise_density(images, cameras, short(1), from_hull=start) for start in (False, True))
    corner, middle = (carved.density[0, 0, at, at, at] for at in (1, 12))
    assert float(corner.detach()) < -7.0
    assert float(middle.detach()) > -4.0
    assert float(filled.density[0, 0, 1, 1, 1].detach()) > -4.0


@pytest.mark.slow
def test_every_step_has_a_row(egg: Path) -> None:
    rows = list(measure_ablation(egg, short(30), 12, HW))
    steps = [row["step"] for row in rows]
    assert len(set(steps)) == len(steps) == 11
    by = {row["step"]: row for row in rows}
    # Inside the hull nothing is to be opened in an egg, and no step may open it.
    assert by["+ check by colours"]["chamfer"] < 1.1 * by["signed distances: hull"]["chamfer"]
    assert by["density, depths fused"]["iou"] > 0.6
    lines = ablation_table(rows).splitlines()
    assert len(lines) == 2 + 11
    assert "egg" in lines[0]
