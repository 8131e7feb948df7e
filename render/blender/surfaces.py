"""The connected parts of a mesh: find closed parts, and parts facing inward like a room or a sky."""

from typing import NamedTuple

import bpy
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

MIXERS = (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53)
INWARD = -0.1
"""A part whose `facing` is lower encloses what is before it: a sphere from within has −1, a plane 0."""


class Parts(NamedTuple):
    """The connected part of each triangle (T,), and of each part: is it closed and outward, does it face inward."""

    of_triangle: Ints
    is_closed: Flags
    is_inward: Flags


def mesh_triangles(mesh: bpy.types.Mesh) -> tuple[Floats, Ints, Ints]:
    """Points (P, 3), the corners of triangles (T, 3) and the polygon of each (T,)."""
    mesh.calc_loop_triangles()
    points = np.empty(len(mesh.vertices) * 3, np.float32)
    corners = np.empty(len(mesh.loop_triangles) * 3, np.int32)
    polygons = np.empty(len(mesh.loop_triangles), np.int32)
    mesh.vertices.foreach_get("co", points)
    mesh.loop_triangles.foreach_get("vertices", corners)
    mesh.loop_triangles.foreach_get("polygon_index", polygons)
    return points.reshape(-1, 3).astype(np.float64), corners.reshape(-1, 3).astype(np.int64), polygons.astype(np.int64)


def parts_of(points: Floats, triangles: Ints) -> Parts:
    """The connected parts of triangles (T, 3) over points (P, 3); points in the same place count as one.

    A part is closed when every edge is passed once each way and the volume is positive: its backs are seen from
    nowhere outside. `facing` is the mean of the cosine between normal and direction from the middle, by area.
    """
    # By position: importers split a vertex for each normal or texture coordinate, and every seam would be an edge.
    _, first, place = np.unique(position_keys(points), return_index=True, return_inverse=True)
    places, triangles = points[first], place.reshape(-1)[triangles]
    starts, ends = triangles.ravel(), np.roll(triangles, -1, axis=1).ravel()
    size = len(places)
    graph = coo_array((np.ones(len(starts), np.int8), (starts, ends)), shape=(size, size))
    count, part_of_place = connected_components(graph, directed=False)
    part = part_of_place[triangles[:, 0]].astype(np.int64)
    closed = np.ones(count, bool)
    # A single unpaired edge opens the whole part.
    closed[part_of_place[starts[~_are_paired(starts, ends, size)]]] = False
    facing, volume = _facing(places[triangles], part, count)
    return Parts(part, closed & (volume > 0.0), facing < INWARD)


def _are_paired(starts: Ints, ends: Ints, size: int) -> Flags:
    """Whether each directed edge (E,) occurs once, and once the other way."""
    there, back = starts * size + ends, ends * size + starts
    edges, index, counts = np.unique(there, return_inverse=True, return_counts=True)
    found = np.searchsorted(edges, back).clip(max=max(len(edges) - 1, 0))
    return np.asarray((counts[index] == 1) & (edges[found] == back))


def _facing(corners: Floats, part: Ints, count: int) -> tuple[Floats, Floats]:
    """How far each part faces away from its middle, −1 to 1, and its signed volume times six, from there."""
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])  # twice the area long
    weight, middle = np.linalg.norm(normal, axis=1), corners.mean(axis=1)
    total = np.bincount(part, weight, count)
    centre = np.stack([np.bincount(part, weight * middle[:, axis], count) for axis in range(3)], axis=1)
    centre = np.divide(centre, total[:, None], out=np.zeros_like(centre), where=total[:, None] > 0.0)
    outward = middle - centre[part]
    outward_area = np.einsum("ij,ij->i", normal, outward)
    whole = np.bincount(part, weight * np.linalg.norm(outward, axis=1), count)
    facing = np.divide(np.bincount(part, outward_area, count), whole, out=np.zeros(count), where=whole > 0.0)
    return np.asarray(facing, np.float64), np.asarray(np.bincount(part, outward_area, count), np.float64)


def position_keys(points: Floats) -> NDArray[np.uint64]:
    """A number for each of points (P, 3), the same for the same place; two places share one with a chance of 2⁻⁶⁴."""
    bits = (np.asarray(points, np.float64) + 0.0).view(np.uint64).reshape(-1, 3)  # −0 becomes 0
    keys = np.zeros(len(bits), np.uint64)
    for axis in range(3):
        keys = _mixed(keys ^ bits[:, axis]) + np.uint64(axis)
    return keys


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Values with every bit spread over all, by MurmurHash3's last step."""
    for mixer in MIXERS:
        values = (values ^ (values >> np.uint64(33))) * np.uint64(mixer)
    return values ^ (values >> np.uint64(33))
