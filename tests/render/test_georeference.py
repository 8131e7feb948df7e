"""Models far from their origin come out as they would near to it, however they got there."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from render.child import RenderChild
from tests.render.assets import BLUE, GREEN, RED, Asset, box, look

FAR = (4321234.56, 120.5, -512345.67)
PLACES = ([0.0, 0.0, 0.0], [0.4, 0.1, 0.05], [0.8, 0.2, 0.1])


def built(kind: str, offset: tuple[float, float, float]) -> Asset:
    """Three boxes side by side, all moved by `offset`."""
    asset, numbers = Asset(), []
    for place, colour in zip(PLACES, (RED, GREEN, BLUE), strict=True):
        points, triangles = box(0.3)
        at = [a + b for a, b in zip(place, offset, strict=True)] if kind == "each node" else place
        turned = {"rotation": [0.0, 0.6, 0.0, 0.8]} if kind == "under turned nodes" else {}
        if kind == "matrix":
            node = {"matrix": [2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0, *at, 1]}
        else:
            node = {"translation": at, "scale": [2.0, 2.0, 2.0], **turned}
        numbers.append(asset.node(asset.mesh((points, triangles, asset.material(colour))), **node))
    if kind == "each node":
        return asset
    inner = asset.node(children=numbers, translation=[0.0, 0.0, 0.0] if kind != "two levels" else [0.5, 0.0, 0.0])
    asset.node(children=[inner], translation=list(offset))
    return asset


@pytest.mark.parametrize("kind", ["parent", "each node", "matrix", "two levels", "under turned nodes"])
def test_a_far_model_looks_as_a_near_one(kind: str, settings: Any, blender: RenderChild, tmp_path: Path) -> None:
    near = look(blender, settings, built(kind, (0.0, 0.0, 0.0)).write(tmp_path / "near.glb"))
    far = look(blender, settings, built(kind, FAR).write(tmp_path / "far.glb"))
    for one, other in zip(near.pictures, far.pictures, strict=True):
        assert np.abs(one.astype(int) - other).mean() < 0.1
    shift = np.array([FAR[0], -FAR[2], FAR[1]])
    was, now = (np.array(seen.result.normalisation["centre"]) for seen in (near, far))
    assert np.allclose(now - was, shift, rtol=0, atol=1e-5)
    assert far.result.normalisation["scale"] == pytest.approx(near.result.normalisation["scale"], rel=1e-6)


def test_points_that_are_far_themselves(settings: Any, blender: RenderChild, tmp_path: Path) -> None:
    """As exact as the file's 32 bits are."""
    offset = np.array([2.0**20, 0.0, -(2.0**18)])
    pictures = []
    for name, by in (("near", 0.0), ("far", 1.0)):
        asset = Asset()
        for place, colour in zip(PLACES, (RED, GREEN, BLUE), strict=True):
            points, triangles = box(0.25)
            asset.node(
                asset.mesh(
                    (points + np.round(np.array(place) * 8) / 8 + by * offset, triangles, asset.material(colour))
                )
            )
        pictures.append(look(blender, settings, asset.write(tmp_path / f"{name}.glb")).pictures)
    for one, other in zip(*pictures, strict=True):
        assert np.abs(one.astype(int) - other).mean() < 0.1
