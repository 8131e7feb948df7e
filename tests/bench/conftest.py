"""What tests of measurements share: an object of simple form."""

from pathlib import Path

import numpy as np
import pytest
import trimesh


@pytest.fixture(scope="session")
def egg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ellipsoid, red on one side and blue on the other."""
    shape = trimesh.creation.icosphere(subdivisions=3, radius=2.0)
    shape.apply_scale([1.0, 0.5, 0.7])
    shape.visual.vertex_colors = np.where(shape.vertices[:, :1] > 0, [[255, 0, 0, 255]], [[0, 0, 255, 255]])
    path = tmp_path_factory.mktemp("objects") / "egg.glb"
    shape.export(path)
    return path
