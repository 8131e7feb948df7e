"""Metrics of a predicted mesh by their names in protocols, for one variant at a time."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from base.seeds import stable_rng
from evaluation.protocol import MeshVariant
from evaluation.shapes.alignment import Step, align
from evaluation.shapes.depth_fusion import fused_points
from evaluation.shapes.distances import Nearest, chamfer_variants, f_scores, nearest_points, normal_consistency
from evaluation.shapes.health import MeshHealth, measure_health
from evaluation.shapes.triangles import Triangles, sample_surface
from evaluation.shapes.voxels import Grid, Solid, parity_fill, ray_fill, volumetric_iou, winding_fill
from geometry.camera import Lens

Floats = NDArray[np.float64]

SEED = 0
FILLS = {"parity": parity_fill, "rays": ray_fill, "winding": winding_fill}
ALIGNMENT_POINTS = 4096
DIAGONAL = float(np.sqrt(3.0))
"""The distance of a failed object, as Occupancy Networks has it for an empty mesh: the diagonal of the unit cube."""
CHAMFER = ("accuracy", "completeness", "mean", "sum", "squared_mean", "squared_sum")
HEALTH = ("open-edges", "branching-edges", "parts", "watertight", "faces")
MESH_METRICS = (
    *(f"chamfer/{name}" for name in CHAMFER),
    *("chamfer/floor", "f-score", "normal-consistency", "iou"),
    *HEALTH,
)
"""Every name; `f-score` gives a value for each threshold."""


class MeshComparison:
    """A predicted and a true mesh under a variant. Each quantity is computed once, when asked for.

    `cameras` (V, 3, 4) and `lens` are those of the protocol, for visible points. Raises ValueError for a mesh without
    area.
    """

    def __init__(
        self,
        variant: MeshVariant,
        uid: str,
        predicted: Triangles,
        true: Triangles,
        views: Sequence[tuple[Floats, Lens, tuple[int, int]]],
    ) -> None:
        self.variant, self.uid, self.views = variant, uid, views
        self.true = self._aligned(true, true, variant.truth_steps)
        self.predicted = self._aligned(predicted, self.true, variant.steps)

    def values(self) -> dict[str, float]:
        """Return the variant's metrics by name."""
        found: dict[str, float] = {}
        for name in self.variant.metrics:
            found |= self._measure(name)
        return found

    def _measure(self, name: str) -> dict[str, float]:
        if name == "chamfer/floor":
            # Two draws from the same surface: no prediction can come closer than this with so many points.
            again = self._points(self.true, "floor-points")[0]
            return {name: chamfer_variants(nearest_points(again, self.true_points[0]))["mean"]}
        if name.startswith("chamfer/"):
            return {name: chamfer_variants(self.nearest)[name.removeprefix("chamfer/")]}
        if name == "f-score":
            scores = f_scores(self.nearest, self.variant.thresholds)
            return {f"f-score@{threshold:g}": score[0] for threshold, score in scores.items()}
        if name == "normal-consistency":
            return {name: normal_consistency(self.nearest, self.points[1], self.true_points[1])}
        if name == "iou":
            return {name: volumetric_iou(self._solid(self.predicted), self._solid(self.true))}
        return {name: health_value(self.health, name)}

    @cached_property
    def points(self) -> tuple[Floats, Floats]:
        """Return the prediction's points and normals."""
        return self._points(self.predicted, "predicted-points")

    @cached_property
    def true_points(self) -> tuple[Floats, Floats]:
        """Return the truth's points and normals."""
        return self._points(self.true, "true-points")

    @cached_property
    def nearest(self) -> Nearest:
        """Return distances both ways."""
        return nearest_points(self.points[0], self.true_points[0])

    @cached_property
    def health(self) -> MeshHealth:
        """Return the health of the predicted mesh."""
        return measure_health(self.predicted)

    def _points(self, mesh: Triangles, purpose: str) -> tuple[Floats, Floats]:
        if self.variant.sample == "surface":
            return sample_surface(mesh, self.variant.points, stable_rng(SEED, purpose, self.uid))
        if self.variant.sample == "vertices":
            return mesh.vertices, np.zeros_like(mesh.vertices)
        _, lens, hw = self.views[0]
        points = fused_points(mesh, [camera for camera, _, _ in self.views], lens, hw)
        if len(points) == 0:
            raise ValueError("expected a mesh in sight of the cameras, got an empty picture in every view")
        return points, np.zeros_like(points)

    def _solid(self, mesh: Triangles) -> Solid:
        size = self.variant.grid_size
        grid = Grid.of_mesh2sdf(size) if self.variant.grid == "mesh2sdf" else Grid.of_unit_cube(size)
        return FILLS[self.variant.fill](mesh, grid)

    def _aligned(self, mesh: Triangles, true: Triangles, steps: Sequence[Step]) -> Triangles:
        # Points are drawn anew for each step, because the step before has moved the mesh.
        for step in steps:
            points, _ = sample_surface(mesh, ALIGNMENT_POINTS, stable_rng(SEED, "alignment", self.uid))
            true_points, _ = sample_surface(true, ALIGNMENT_POINTS, stable_rng(SEED, "true-alignment", self.uid))
            mesh = align(mesh, points, true_points, step)
        return mesh


def health_value(health: MeshHealth, name: str) -> float:
    """Return a count of `HEALTH` as a number; `watertight` is 0 or 1."""
    return float(
        {
            "open-edges": health.open_edges,
            "branching-edges": health.branching_edges,
            "parts": health.parts,
            "watertight": health.is_watertight,
            "faces": health.faces,
        }[name]
    )


def failed_values(variant: MeshVariant) -> dict[str, float]:
    """Return what a failed object counts for: the unit cube's diagonal as distance, and no agreement.

    The floor and the health of a mesh have no such value.
    """
    found: dict[str, float] = {}
    for name in variant.metrics:
        if name.startswith("chamfer/") and name != "chamfer/floor":
            kind = name.removeprefix("chamfer/")
            distance = DIAGONAL**2 if kind.startswith("squared") else DIAGONAL
            found[name] = distance * (2.0 if kind.endswith("sum") else 1.0)
        elif name == "f-score":
            found |= {f"f-score@{threshold:g}": 0.0 for threshold in variant.thresholds}
        elif name in ("iou", "normal-consistency"):
            found[name] = 0.0
    return found
