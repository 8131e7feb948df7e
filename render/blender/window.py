"""The window of a view: the rectangle of pixels that the object can cover. Nothing else is rendered."""

from typing import Any, NamedTuple, Self, TypeVar

import bpy
import numpy as np
from numpy.typing import NDArray

from geometry.camera import Lens, project
from render.blender.normalise import GEOMETRY, face_vertices

Pixel = TypeVar("Pixel", bound=np.generic)

MARGIN_PX = 4
"""Beyond the reach of the pixel filter: what the denoiser may look at around a silhouette."""

GRID_PX = 16
"""The denoiser halves the picture four times: only on this grid does it see the rectangle as it sees the frame."""

UNSEEN_BY_BOUNDS = {"VOLUME", "POINTCLOUD", "CURVES"}


class Window(NamedTuple):
    """The pixels of rows `top` to `bottom` and columns `left` to `right`, the ends left out, of a frame of `hw`."""

    top: int
    left: int
    bottom: int
    right: int
    hw: tuple[int, int]

    @classmethod
    def full_frame(cls, hw: tuple[int, int]) -> Self:
        """All of a frame."""
        return cls(0, 0, *hw, hw)

    @property
    def shape(self) -> tuple[int, int]:
        """The height and width of the window."""
        return self.bottom - self.top, self.right - self.left

    def paste(self, picture: NDArray[Pixel]) -> NDArray[Pixel]:
        """The frame (H, W, …) that shows `picture` in the window and zeros elsewhere."""
        frame = np.zeros((*self.hw, *picture.shape[2:]), picture.dtype)
        frame[self.top : self.bottom, self.left : self.right] = picture
        return frame

    def cuts(self, alpha: NDArray[np.uint8]) -> bool:
        """Return whether the object, in the window's `alpha`, touches a side of the window inside the frame."""
        height, width = self.hw
        inner = [self.top > 0, self.bottom < height, self.left > 0, self.right < width]
        edges = [alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]]
        return any(is_inner and bool(edge.any()) for is_inner, edge in zip(inner, edges, strict=True))


class Windows:
    """The window of each view of the scene as it now stands, from the true places of all corners of faces."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.hw: tuple[int, int] = tuple(settings["hw"])
        self.lens = Lens(**settings["lens"])
        self.margin_px = settings["filter_width_px"] + MARGIN_PX
        wanted = settings["object_rectangle"] and is_bounded_by_faces()
        self.points = np.concatenate(list(face_vertices())) if wanted else None

    def of(self, cam_from_world: NDArray[np.float64]) -> Window:
        """The window of the view from this camera (3, 4); the whole frame where bounds say nothing."""
        pixels = None if self.points is None else project(self.points, cam_from_world, self.lens, self.hw)
        if pixels is None or not np.isfinite(pixels).all():  # a point at or behind the camera
            return Window.full_frame(self.hw)
        return window_around(pixels, self.margin_px, self.hw)


def window_around(pixels: NDArray[np.float64], margin_px: float, hw: tuple[int, int]) -> Window:
    """Return the window of a frame of `hw` around all `pixels` (N, 2), as x and y, plus `margin_px`; never empty.

    Its sides are on the frame's grid of `GRID_PX`, counted from the bottom left, or on the frame's own sides.
    """
    height, width = hw
    # Blender counts rows from below, and the denoiser's grid starts there.
    upward = np.array([1.0, -1.0]) * pixels + (0, height)
    low = np.floor((upward.min(axis=0) - margin_px) / GRID_PX).clip(0, (np.array([width, height]) - 1) // GRID_PX)
    high = np.ceil((upward.max(axis=0) + margin_px) / GRID_PX).clip(low + 1)
    left, bottom = (low * GRID_PX).astype(int)
    right, top = np.minimum(high * GRID_PX, (width, height)).astype(int)
    return Window(int(height - top), int(left), int(height - bottom), int(right), hw)


def is_bounded_by_faces() -> bool:
    """Whether nothing is drawn but faces in their places: no volumes, points or strands, no shader that moves them."""
    for instance in bpy.context.evaluated_depsgraph_get().object_instances:
        thing = instance.object
        if thing.type in UNSEEN_BY_BOUNDS or (thing.type in GEOMETRY and thing.particle_systems):
            return False
    return all(material.displacement_method == "BUMP" for material in bpy.data.materials)
