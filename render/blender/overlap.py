"""Find pairs of coincident faces, and decide how to part them. Numpy only."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from render.blender.surfaces import position_keys

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

PLACE = 2e-6
"""Distances below this are rounding errors, in a model whose longest edge is 1."""
TURN = 1e-3
"""The largest difference between normals of faces in the same plane."""
SMALLEST = 1e-3
"""Triangles with a shorter edge are compared by their corners alone: their normals are too uncertain."""
BUCKET = np.array([200.0, 200.0, 200.0, 2e4])
"""How finely planes are sorted: parts of a normal's components, and of the distance from the origin."""
MOST_TRIANGLES = 400_000
"""Larger models are searched for equal polygons alone."""
MOST_PAIRS = 20_000_000
"""Triangles in the same plane are compared pair by pair up to so many pairs of a model."""
AT_A_TIME = 1_000_000
"""How many pairs are held in memory together, but for those of a single triangle."""
SHIFTS = (0.0, 0.5)
"""Places and planes are sorted into cells twice, so that a border between cells parts nothing for good."""
SIDE = np.array([0.8301, 0.4127, 0.3753])
"""A direction contained in few planes. Of a plane's two normals, the normal towards it names the plane."""


class Polygons(NamedTuple):
    """The polygons of a model in the order in which viewers draw them.

    `corners` (C, 3) are their corners one after the other, `start` (P,) the first of each; `triangles` (T, 3, 3) have
    their polygon in `of_triangle` (T,). `hides` says whether a polygon is opaque, `is_culled` whether its back is not
    shown.
    """

    corners: Floats
    start: Ints
    triangles: Floats
    of_triangle: Ints
    hides: Flags
    is_culled: Flags


class Parting(NamedTuple):
    """What to do with each polygon (P,): remove it, or move it by so many steps along its normal (0: leave it)."""

    removed: Flags
    level: Ints


def part_polygons(polygons: Polygons) -> Parting:
    """The changes after which coincident polygons show a single face on each side.

    Among equal opaque polygons facing the same way the last stays, as with a depth test of less or equal. Other
    polygons facing the same way are stacked in order. Polygons facing the other way move to their own side.
    """
    normals, seen = _normals(polygons)
    level, removed = np.zeros(len(polygons.start), np.int64), np.zeros(len(polygons.start), bool)
    equal = equal_polygons(polygons)
    pairs = np.unique(np.concatenate([equal, overlapping_polygons(polygons)]), axis=0)
    pairs = pairs[seen[pairs].all(axis=1)]
    agree = np.einsum("ij,ij->i", normals[pairs[:, 0]], normals[pairs[:, 1]]) > 0.0
    is_equal = np.isin(_pair_keys(pairs, len(level)), _pair_keys(equal, len(level)))
    before, after = pairs.T
    covers = is_equal & agree & polygons.hides[after] & (~polygons.is_culled[after] | polygons.is_culled[before])
    removed[before[covers]] = True
    kept = ~removed[pairs].any(axis=1)
    # In the order of drawing, so that a level is final before it is built upon.
    order = np.lexsort((before[kept], after[kept]))
    for first, second, is_same in zip(before[kept][order], after[kept][order], agree[kept][order], strict=True):
        least = level[first] + 1 if is_same else int(level[first] == 0)
        level[second] = max(level[second], least)
    return Parting(removed, level)


def equal_polygons(polygons: Polygons) -> Ints:
    """Pairs (N, 2), the lower number first, of polygons with the same corners, in whatever order."""
    pairs = []
    sizes = np.diff(polygons.start, append=len(polygons.corners))
    for shift in SHIFTS:
        cells = np.floor(polygons.corners / PLACE + shift)
        # A sum of keys does not depend on the order of corners.
        keys = np.add.reduceat(position_keys(cells), polygons.start) + sizes.astype(np.uint64)
        pairs.append(_within_groups(np.asarray(keys, np.uint64)))
    return np.unique(np.concatenate(pairs), axis=0)


def overlapping_polygons(polygons: Polygons) -> Ints:
    """Return pairs (N, 2), the lower number first, of overlapping polygons in the same plane."""
    corners, owner = polygons.triangles, polygons.of_triangle
    edges = corners - np.roll(corners, 1, axis=1)
    normals = np.cross(edges[:, 1], edges[:, 2])
    length = np.linalg.norm(normals, axis=1)
    shortest = np.linalg.norm(edges, axis=2).min(axis=1, initial=np.inf)
    if len(corners) > MOST_TRIANGLES:
        return np.zeros((0, 2), np.int64)
    large = np.flatnonzero((shortest > SMALLEST) & (length > SMALLEST * shortest))
    corners, owner, normals = corners[large], owner[large], normals[large] / length[large, None]
    # Faces that look opposite ways share a plane.
    normals = normals * np.where(normals @ SIDE < 0.0, -1.0, 1.0)[:, None]
    planes = np.concatenate([normals, np.einsum("ij,ij->i", normals, corners.mean(axis=1))[:, None]], axis=1)
    found = [np.zeros((0, 2), np.int64)]
    for shift in SHIFTS:
        cells = np.floor(planes * BUCKET + shift)
        keys = position_keys(cells[:, :3]) ^ position_keys(np.repeat(cells[:, 3:], 3, axis=1) + 0.25)
        order = np.argsort(keys, kind="stable")
        plane = np.cumsum(np.diff(keys[order], prepend=keys[order][:1]) != 0)
        for pairs in _candidates(corners[order], normals[order], plane):
            first, second = order[pairs].T
            fits = owner[first] != owner[second]
            first, second = first[fits], second[fits]
            fits = _in_one_plane(corners, normals, first, second)
            first, second = first[fits], second[fits]
            fits = _overlap(corners[first], corners[second], normals[first])
            found.append(np.sort(np.stack([owner[first[fits]], owner[second[fits]]], axis=1), axis=1))
    return np.unique(np.concatenate(found), axis=0)


def _normals(polygons: Polygons) -> tuple[Floats, Flags]:
    """The normal (P, 3) of each polygon, and whether it is more than a line (P,)."""
    edges = polygons.triangles[:, 1:] - polygons.triangles[:, :1]
    sums = np.zeros((len(polygons.start), 3))
    np.add.at(sums, polygons.of_triangle, np.cross(edges[:, 0], edges[:, 1]))
    length = np.linalg.norm(sums, axis=1, keepdims=True)
    longest = np.zeros(len(polygons.start))
    sides = polygons.triangles - np.roll(polygons.triangles, 1, axis=1)
    np.maximum.at(longest, polygons.of_triangle, np.linalg.norm(sides, axis=2).max(axis=1))
    is_wide = length[:, 0] > 4 * PLACE * longest
    return np.divide(sums, length, out=np.zeros_like(sums), where=length > 0.0), is_wide & (longest > 0.0)


def _within_groups(keys: NDArray[np.uint64]) -> Ints:
    """All pairs (N, 2) of positions with equal keys, the lower first; of large groups those with the next three."""
    order = np.argsort(keys, kind="stable")
    ordered, pairs = keys[order], []
    for step in (1, 2, 3):
        same = ordered[step:] == ordered[:-step]
        pairs.append(np.stack([order[:-step][same], order[step:][same]], axis=1))
    return np.asarray(np.concatenate(pairs), np.int64)


def _candidates(corners: Floats, normals: Floats, plane: Ints) -> Iterator[Ints]:
    """Pair coplanar triangles (T, 3, 3) with overlapping boxes; yields parts (N, 2) of all pairs.

    `plane` (T,) ascends. The planes with the most pairs are left out when there are too many in all.
    """
    axis = np.abs(normals[np.flatnonzero(np.diff(plane, prepend=-1))]).argmax(axis=1)[plane]
    across = np.stack([(axis + 1) % 3, (axis + 2) % 3], axis=1)
    flat = np.take_along_axis(corners, across[:, None, :], axis=2)
    # Shrunk by the tolerance: boxes that only touch do not overlap.
    low, high = flat.min(axis=1) + PLACE, flat.max(axis=1) - PLACE
    order = np.lexsort((low[:, 0], plane))
    low, high, plane = low[order], high[order], plane[order]
    counts = np.maximum(_starts_before(low[:, 0], high[:, 0], plane) - np.arange(len(order)) - 1, 0)
    of_plane = np.bincount(plane, counts)
    by_size = np.argsort(of_plane, kind="stable")
    is_small = np.zeros(len(of_plane), bool)
    is_small[by_size] = np.cumsum(of_plane[by_size]) <= MOST_PAIRS / len(SHIFTS)
    counts[~is_small[plane]] = 0
    ends = np.cumsum(counts)
    for rows in np.split(np.arange(len(order)), np.searchsorted(ends, np.arange(AT_A_TIME, counts.sum(), AT_A_TIME))):
        first = np.repeat(rows, counts[rows])
        second = np.arange(len(first)) - np.repeat(np.cumsum(counts[rows]) - counts[rows], counts[rows]) + first + 1
        meet = (low[first, 1] < high[second, 1]) & (low[second, 1] < high[first, 1])
        yield order[np.stack([first[meet], second[meet]], axis=1)]


def _starts_before(low: Floats, high: Floats, plane: Ints) -> Ints:
    """Count the `low` (T,), ascending in each plane, of earlier planes, and of the same plane below each `high`."""
    is_low = np.repeat([True, False], len(low))
    order = np.lexsort((is_low, np.concatenate([low, high]), np.tile(plane, 2)))
    counts = np.empty(2 * len(low), np.int64)
    counts[order] = np.cumsum(is_low[order])
    return counts[len(low) :]


def _in_one_plane(corners: Floats, normals: Floats, first: Ints, second: Ints) -> Flags:
    away = np.einsum("nij,nj->ni", corners[second] - corners[first].mean(axis=1)[:, None], normals[first])
    level = np.abs(np.einsum("ij,ij->i", normals[first], normals[second])) > 1.0 - TURN
    return np.asarray(level & (np.abs(away).max(axis=1) < PLACE))


def _overlap(first: Floats, second: Floats, normals: Floats) -> Flags:
    """Whether triangles (N, 3, 3) cover more than an edge of each other: no edge of either separates them."""
    result = np.ones(len(first), bool)
    for corners in (first, second):
        edges = np.roll(corners, -1, axis=1) - corners
        for edge in range(3):
            axis = np.cross(edges[:, edge], normals)
            axis /= np.linalg.norm(axis, axis=1, keepdims=True)
            ours, theirs = np.einsum("nij,nj->ni", first, axis), np.einsum("nij,nj->ni", second, axis)
            gap = np.minimum(ours.max(axis=1), theirs.max(axis=1)) - np.maximum(ours.min(axis=1), theirs.min(axis=1))
            # Separating axes: two convex shapes are apart if they are apart along the normal of some edge.
            result &= gap > 2 * PLACE
    return result


def _pair_keys(pairs: Ints, count: int) -> Ints:
    return pairs[:, 0] * count + pairs[:, 1]
