"""Camera positions around an object, drawn as a sphere in SVG.

The picture is orthographic, seen from `VIEW_AZIMUTH` and `VIEW_ELEVATION`, z up. Cameras in front are drawn over the
sphere; cameras behind it are drawn faint, under it.
"""

from collections.abc import Collection, Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import ArrayLike, NDArray

from geometry.camera import camera_centre
from geometry.sphere import cartesian_from_spherical
from report.escape import fill, html

Floats = NDArray[np.float64]
VIEW_AZIMUTH = np.radians(32.0)
VIEW_ELEVATION = np.radians(22.0)
SIDE = 240.0
MARGIN = 22.0


def rotate_to_viewer(points: ArrayLike) -> Floats:
    """Express world points (..., 3) in the axes (right, up, towards the viewer); (..., 3)."""
    sin_a, cos_a = np.sin(VIEW_AZIMUTH), np.cos(VIEW_AZIMUTH)
    sin_e, cos_e = np.sin(VIEW_ELEVATION), np.cos(VIEW_ELEVATION)
    axes = np.array(
        [[-sin_a, cos_a, 0.0], [-sin_e * cos_a, -sin_e * sin_a, cos_e], [cos_e * cos_a, cos_e * sin_a, sin_e]]
    )
    return np.asarray(np.asarray(points, np.float64) @ axes.T, np.float64)


def camera_sphere(
    cam_from_world: ArrayLike,
    *,
    label: str,
    names: Sequence[str] | None = None,
    highlighted: Collection[int] = (),
    move: tuple[int, int] | None = None,
) -> Markup:
    """Draw the cameras (V, 3, 4) around their object as an `<svg>`, labelled from 0 or by `names`.

    `highlighted` cameras take the second colour. `move` draws the path between two cameras. Radii keep their
    proportions; the sphere has the mean radius. Raises ValueError when the shape or the number of names is wrong.
    """
    cameras = np.asarray(cam_from_world, np.float64)
    if cameras.ndim != 3 or cameras.shape[1:] != (3, 4) or not len(cameras):
        raise ValueError(f"expected cameras (V, 3, 4) with V ≥ 1, got {cameras.shape}")
    names = [str(index) for index in range(len(cameras))] if names is None else names
    if len(names) != len(cameras):
        raise ValueError(f"expected {len(cameras)} names, got {len(names)}")
    centres = camera_centre(cameras)
    radii = np.linalg.norm(centres, axis=-1)
    # The farthest camera just fits; the lower bound avoids a division by 0.
    scale = (SIDE / 2 - MARGIN) / max(float(radii.max()), 1e-9)
    points = rotate_to_viewer(centres)
    # From far to near: SVG draws later elements over earlier ones.
    order = [int(index) for index in np.argsort(points[:, 2])]
    dots = {index: _camera(points[index], scale, names[index], held=index in highlighted) for index in order}
    back = [dots[index] for index in order if points[index, 2] < 0]
    front = [dots[index] for index in order if points[index, 2] >= 0]
    arc = [] if move is None else [_move(centres[move[0]], centres[move[1]], scale)]
    body = [*back, _wires(float(radii.mean()) * scale), _object(scale), *arc, *front]
    svg = Markup('<svg class="sphere" viewBox="0 0 {0:g} {0:g}" role="img" aria-label="{1}">{2}</svg>')
    return svg.format(SIDE, html(label), Markup("").join(body))


def _polyline(points: Floats, scale: float, css_class: str) -> Markup:
    # SVG counts y downwards.
    xy = np.clip(SIDE / 2 + points[:, :2] * scale * [1.0, -1.0], 0.0, SIDE)
    text = " ".join(f"{x:.1f},{y:.1f}" for x, y in xy)
    return fill('<polyline class="{}" points="{}" fill="none"/>', css_class, text)


def wire_runs() -> list[tuple[Floats, bool]]:
    """Cut the circles of the unit sphere into arcs (N, 3) in the viewer's axes, with whether each is in front."""
    turn = np.linspace(0.0, 2.0 * np.pi, 73)
    rings = [cartesian_from_spherical(np.radians(polar), turn, 1.0) for polar in (30, 60, 90, 120, 150)]
    rings += [cartesian_from_spherical(turn, np.radians(azimuth), 1.0) for azimuth in (0, 45, 90, 135)]
    views = [rotate_to_viewer(ring) for ring in rings]
    return [(run, front) for points in views for front in (False, True) for run in _runs(points, front=front)]


def _wires(radius_px: float) -> Markup:
    outline = '<circle class="outline" cx="{0:g}" cy="{0:g}" r="{1:.1f}"/>'
    parts = [fill(outline, SIDE / 2, radius_px)]
    parts += [_polyline(run, radius_px, "wire front" if front else "wire") for run, front in wire_runs()]
    return Markup("").join(parts)


def _runs(points: Floats, *, front: bool) -> list[Floats]:
    """Cut a ring into arcs on the chosen side of the picture plane."""
    side = (points[:, 2] >= 0) == front
    cuts = np.flatnonzero(np.diff(side.astype(np.int8))) + 1
    return [points[run] for run in np.split(np.arange(len(points)), cuts) if side[run[0]] and len(run) > 1]


def _object(scale: float) -> Markup:
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * 0.3
    # Corners one edge length apart are joined by an edge.
    edges = [(a, b) for a in range(8) for b in range(a) if np.isclose(np.linalg.norm(corners[a] - corners[b]), 0.6)]
    return Markup("").join(_polyline(rotate_to_viewer(corners[[a, b]]), scale, "object") for a, b in edges)


def _move(start: Floats, end: Floats, scale: float) -> Markup:
    """Draw a path on a sphere; direction and radius change evenly."""
    a, b = start / np.linalg.norm(start), end / np.linalg.norm(end)
    angle = float(np.arccos(np.clip(a @ b, -1.0, 1.0)))
    step = np.linspace(0.0, 1.0, 49)[:, None]
    # For equal or opposite directions the great circle is not defined.
    if np.sin(angle) < 1e-6:
        way = start + (end - start) * step
    else:
        direction = (np.sin((1 - step) * angle) * a + np.sin(step * angle) * b) / np.sin(angle)
        way = direction * (np.linalg.norm(start) + (np.linalg.norm(end) - np.linalg.norm(start)) * step)
    return _polyline(rotate_to_viewer(way), scale, "move")


def _camera(point: Floats, scale: float, name: str, *, held: bool) -> Markup:
    x, y = SIDE / 2 + point[0] * scale, SIDE / 2 - point[1] * scale
    css_class = f"camera{' back' if point[2] < 0 else ''}{' held' if held else ''}"
    group = '<g class="{}"><circle cx="{:.1f}" cy="{:.1f}" r="{:g}"/><text x="{:.1f}" y="{:.1f}">{}</text></g>'
    return fill(group, css_class, x, y, 8, x, y, html(name))
