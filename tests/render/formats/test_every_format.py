"""The same object in every format gives the same pictures."""

from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from base.outcomes import Outcome
from render.run import render_views
from tests.render.conftest import FLAT
from tests.render.models import digests, marker_object, write_marker_object


def views(blender, chosen, path: Path, out: Path) -> np.ndarray:
    """All views of a model (V, H, W, 4), as fractions."""
    result = render_views(blender, path, "marker", chosen, 4, out)
    assert result.reason == "", path.name
    assert result.outcome == Outcome.OK, path.name
    assert result.warnings == [], path.name
    return np.stack([np.array(Image.open(file)) for file in sorted(out.glob("*.webp"))]) / 255.0


@pytest.fixture(scope="module")
def reference(settings, blender, tmp_path_factory) -> np.ndarray:
    folder = tmp_path_factory.mktemp("reference")
    return views(blender, settings(**FLAT), write_marker_object(folder / "x.glb"), folder / "out")


@pytest.mark.parametrize("suffix", ["obj", "PLY", "stl", "fbx", "blend", "usd", "usda", "usdc", "usdz"])
def test_silhouettes_and_colours_agree_between_formats(
    settings, blender, reference, exported, tmp_path, suffix
) -> None:
    model = exported / f"x.{suffix}"
    found = views(blender, settings(**FLAT), model if model.exists() else write_marker_object(model), tmp_path / "out")
    seen, expected = found[..., 3] > 0.5, reference[..., 3] > 0.5
    assert (seen & expected).sum() / (seen | expected).sum() > 0.99
    inner = (found[..., 3] == 1.0) & (reference[..., 3] == 1.0)
    if suffix != "stl":
        assert np.abs(found - reference)[inner].mean() < 0.02
    else:
        assert np.ptp(found[inner][:, :3], axis=1).max() < 0.02  # a format without colours shows grey


def test_what_an_fbx_hides_is_not_drawn(settings, blender, exported, tmp_path) -> None:
    for name in ("x.fbx", "hiding.fbx"):
        views(blender, settings(**FLAT), exported / name, tmp_path / name)
    assert digests(tmp_path / "hiding.fbx") == digests(tmp_path / "x.fbx")


def test_the_reference_shows_the_colours_it_was_given(reference) -> None:
    inner = reference[reference[..., 3] == 1.0][:, :3]
    for channel in range(3):
        assert (inner.argmax(axis=1) == channel).any()


def test_coloured_points_show_a_closed_surface(settings, blender, reference, tmp_path) -> None:
    shape = marker_object(up="z", linear=False, shift=3.0)
    places, faces = trimesh.sample.sample_surface_even(shape, 6000, seed=0)
    cloud = trimesh.PointCloud(places, colors=shape.visual.face_colors[faces])
    (tmp_path / "x.ply").write_bytes(cloud.export(file_type="ply"))
    found = views(blender, settings(**FLAT), tmp_path / "x.ply", tmp_path / "out")
    seen, expected = found[..., 3] > 0.5, reference[..., 3] > 0.5
    assert (seen & expected).sum() / (seen | expected).sum() > 0.9
    inner = (found[..., 3] == 1.0) & (reference[..., 3] == 1.0)
    assert np.median(np.abs(found - reference)[inner]) < 0.03
