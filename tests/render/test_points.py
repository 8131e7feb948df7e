"""Clouds of points in glTF files have the colours of their points, in every encoding."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from render.child import RenderChild
from tests.render.assets import Asset, is_colour, look

COLOUR = (0.0, 0.5, 0.9)


@pytest.mark.parametrize("kind", ["float32", "uint8", "uint16"])
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("has_material", [False, True])
def test_points_have_their_colours(
    kind: str, channels: int, has_material: bool, settings: Any, blender: RenderChild, tmp_path: Path
) -> None:
    asset = Asset()
    side = np.linspace(-0.5, 0.5, 12, dtype=np.float32)
    points = np.stack(np.meshgrid(side, side, side), axis=-1).reshape(-1, 3)
    shares = np.tile(np.array([*COLOUR, 1.0][:channels], np.float32), (len(points), 1))
    # Rows begin at multiples of four bytes, as glTF asks.
    largest = {"float32": 1.0, "uint8": 255.0, "uint16": 65535.0}[kind]
    values = (shares * largest).astype(kind)
    padded = 4 if kind == "uint8" or (kind == "uint16" and channels == 3) else 0
    attributes = {"POSITION": asset.add(points)}
    if padded and channels == 3:
        step = 4 if kind == "uint8" else 8
        rows = np.zeros((len(points), step // values.itemsize), kind)
        rows[:, :3] = values
        accessor = asset.add(rows, normalized=True)
        asset.accessors[accessor] |= {"type": "VEC3"}
        asset.views[asset.accessors[accessor]["bufferView"]] |= {"byteStride": step}
        for key in ("min", "max"):
            asset.accessors[accessor].pop(key, None)
    else:
        accessor = asset.add(values, normalized=kind != "float32")
    primitive: dict[str, Any] = {"attributes": attributes | {"COLOR_0": accessor}, "mode": 0}
    if has_material:
        primitive["material"] = asset.material((1.0, 1.0, 1.0))
    asset.document["meshes"].append({"primitives": [primitive]})
    asset.node(0)
    seen = look(blender, settings, asset.write(tmp_path / "x.glb"), places=[(0.4, -1.7, 0.3)] * 2)
    assert all(is_colour(pixel, COLOUR, within=50) for pixel in seen.middles)
