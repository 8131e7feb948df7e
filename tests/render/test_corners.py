"""Normals against their faces: black to a path tracer, and turned before it sees them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from base.outcomes import Outcome
from render.child import RenderChild
from render.run import render_views
from render.settings import RenderSettings
from tests.render.conftest import FLAT
from tests.render.three.feature import matte, with_shape
from tests.render.three.gltf import Gltf
from tests.render.three.shapes import Shape, box

GREEN = {"baseColorFactor": [0.1, 0.6, 0.2, 1.0]}
SRGB = 255 * (1.055 * np.array([0.1, 0.6, 0.2]) ** (1 / 2.4) - 0.055)


def tilted(shape: Shape, cosine: float) -> Shape:
    """Normals that all lie at the angle of this cosine to their faces."""
    across = np.roll(shape.normal, 1, axis=1)
    normal = cosine * shape.normal + np.sqrt(1.0 - cosine**2) * across
    return shape._replace(normal=normal.astype(np.float32))


@pytest.mark.parametrize(
    ("cosine", "quirks", "is_black"),
    [(1.0, "mended", False), (-1.0, "mended", False), (-0.9, "mended", False), (-1.0, "kept", True)],
)
def test_faces_show_their_colour(
    cosine: float,
    quirks: str,
    is_black: bool,
    settings: Callable[..., RenderSettings],
    blender: RenderChild,
    tmp_path: Path,
) -> None:
    source = tmp_path / "model.glb"
    source.write_bytes(with_shape(Gltf(), matte(GREEN), tilted(box(), cosine)).glb())
    chosen = settings(**FLAT | {"importer_quirks": quirks, "checks": {"bad": []}})
    assert render_views(blender, source, "box", chosen, 0, tmp_path / "out").outcome is Outcome.OK
    with Image.open(tmp_path / "out" / "00.webp") as file:
        picture = np.array(file)
    inside = np.median(picture[picture[..., 3] == 255][:, :3], axis=0)
    assert (inside.max() < 10) == is_black
    assert is_black or np.abs(inside - SRGB).max() < 25


def test_normals_of_leaves_are_kept(
    settings: Callable[..., RenderSettings], blender: RenderChild, tmp_path: Path
) -> None:
    """Normals across their faces are meant: both kinds of import make the same picture."""
    pictures = []
    for quirks in ("mended", "kept"):
        source = tmp_path / f"{quirks}.glb"
        source.write_bytes(with_shape(Gltf(), matte(GREEN), tilted(box(), -0.3)).glb())
        chosen = settings(**FLAT | {"importer_quirks": quirks, "checks": {"bad": []}})
        render_views(blender, source, "box", chosen, 0, tmp_path / quirks)
        pictures.append((tmp_path / quirks / "00.webp").read_bytes())
    assert pictures[0] == pictures[1]
