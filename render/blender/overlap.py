"""Find pairs of coincident faces, and decide how to part them. Numpy only."""

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
"""Triangles of one plane are compared pair by pair up to so many pairs of a model."""
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


def part(polygons: Polygons) -> Parting:
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
    order = np.lexsort((before[kept], after[kept]))
    for first, second, is_same in zip(before[kept][order], after[kept][order], agree[kept][order], strict=True):
        least = level[first] + 1 if is_same else int(level[first] == 0)
        level[second] = max(level[second], least)
    return Parting(removed, level)


def equal_polygons(polygons: Polygons) -> Ints:
    """Pairs (N, 2), the lower number first, of polygons with the same corners, in whatever order."""
    pairs = []
    sizes = np.diff(polygons.start, append=len(polygons.corners))
    for shift in (0.0, 0.5):
        cells = np.floor(polygons.corners / PLACE + shift)
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
    normals = normals * np.where(normals @ SIDE < 0.0, -1.0, 1.0)[:, None]
    planes = np.concatenate([normals, np.einsum("ij,ij->i", normals, corners.mean(axis=1))[:, None]], axis=1)
    found = [np.zeros((0, 2), np.int64)]
    left = MOST_PAIRS
    for shift in (0.0, 0.5):
        cells = np.floor(planes * BUCKET + shift)
        keys = position_keys(cells[:, :3]) ^ position_keys(np.repeat(cells[:, 3:], 3, axis=1) + 0.25)
        order = np.argsort(keys, kind="stable")
        bounds = np.flatnonzero(np.diff(keys[order], prepend=keys[order][:1] + np.uint64(1)) != 0)
        for members in np.split(order, bounds[1:]) if len(order) else []:
            if len(members) < 2 or len(np.unique(owner[members])) < 2:
                continue
            pairs = _candidates(corners[members], normals[members[0]], left)
            left -= len(pairs)
            first, second = members[pairs[:, 0]], members[pairs[:, 1]]
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


def _candidates(corners: Floats, normal: Floats, most: int) -> Ints:
    """Pair coplanar triangles (T, 3, 3) with overlapping boxes; (N, 2), empty when more than `most` are near."""
    axes = np.delete(np.arange(3), int(np.abs(normal).argmax()))
    low, high = corners[:, :, axes].min(axis=1) + PLACE, corners[:, :, axes].max(axis=1) - PLACE
    order = np.argsort(low[:, 0], kind="stable")
    ends = np.searchsorted(low[order, 0], high[order, 0])
    counts = np.maximum(ends - np.arange(len(order)) - 1, 0)
    if counts.sum() > most:
        return np.zeros((0, 2), np.int64)
    first = np.repeat(np.arange(len(order)), counts)
    second = np.arange(len(first)) - np.repeat(np.cumsum(counts) - counts, counts) + first + 1
    first, second = order[first], order[second]
    meet = (low[first, 1] < high[second, 1]) & (low[second, 1] < high[first, 1])
    return np.stack([first[meet], second[meet]], axis=1)


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
            result &= gap > 2 * PLACE
    return result


def _pair_keys(pairs: Ints, count: int) -> Ints:
    return pairs[:, 0] * count + pairs[:, 1]
