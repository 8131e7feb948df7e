"""Shapes and pictures of the feature files: each lets a flip, a swap or a shift of channels be seen."""

from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float32]
EDGES = (1.0, 0.8, 0.6)


class Shape(NamedTuple):
    """Vertices of triangles; `uv` counts from the top left of the picture, as glTF does."""

    position: Floats
    normal: Floats
    uv: Floats
    indices: NDArray[np.uint16]

    def attributes(self) -> dict[str, Any]:
        """What glTF calls them, without the indices."""
        return {"POSITION": self.position, "NORMAL": self.normal, "TEXCOORD_0": self.uv}

    def without_face(self, number: int) -> "Shape":
        """A box with one face less."""
        return self._replace(indices=np.delete(self.indices, np.s_[6 * number : 6 * number + 6]))


def box(edges: tuple[float, float, float] = EDGES, centre: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Shape:
    """A box of six faces that share no vertex, each with the whole picture on it."""
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], np.float32)
    position, normal = [], []
    for axis in range(3):
        for side in (-1.0, 1.0):
            across, up = np.eye(3, dtype=np.float32)[[(axis + 1) % 3, (axis + 2) % 3]]
            out = side * np.eye(3, dtype=np.float32)[axis]
            flip = np.array([side, 1.0], np.float32)
            position.append(out + (corners * flip) @ np.stack([across, up]))
            normal.append(np.tile(out, (4, 1)))
    uv = np.tile((corners * [1, -1] + 1) / 2, (6, 1)).astype(np.float32)
    faces = (4 * np.arange(6)[:, None] + [0, 1, 2, 0, 2, 3]).ravel()
    points = np.concatenate(position) * np.array(edges, np.float32) / 2 + np.array(centre, np.float32)
    return Shape(points.astype(np.float32), np.concatenate(normal).astype(np.float32), uv, faces.astype(np.uint16))


def sheet() -> Shape:
    """The front of the box alone."""
    whole = box()
    return Shape(*(values[20:] for values in whole[:3]), whole.indices[:6])


def picture(edge: int = 4, channels: int = 3, *, lowest: int = 0, highest: int = 255) -> NDArray[np.uint8]:
    """A picture (edge, edge, channels) of random colours: no turn or flip maps it to itself."""
    rng = np.random.default_rng(edge + channels)
    return rng.integers(lowest, highest + 1, (edge, edge, channels), dtype=np.uint8)


def encoded(pixels: NDArray[Any], kind: str = "PNG", **options: Any) -> bytes:
    """`pixels` as a file."""
    return saved(Image.fromarray(pixels), kind, **options)


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """`image` as a file."""
    stream = BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()
