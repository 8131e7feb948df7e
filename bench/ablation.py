"""What each step of reconstruction buys, measured on true views of known objects.

The density field is optimised as the method `score` does, with true views in the place of the model's score. Its mesh
is taken at a density, or where its depths meet. The signed distances gain a step from line to line.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.oracle import plain_hull
from bench.scans import draw, load_scan
from bench.shape_error import chamfer, occupied
from evaluation.shapes.voxels import volumetric_iou
from evaluation.table import markdown_table
from geometry.camera import PAPER_LENS
from reconstruct.field import VoxelField
from reconstruct.finish import Photo, field_mesh
from reconstruct.hull import hull_distance
from reconstruct.optimise import FieldRun, prepare_input_view
from reconstruct.settings import ReconstructSettings
from reconstruct.simplify import surface_mesh
from reconstruct.surface import fit_surface
from reconstruct.viewpoints import draw_viewpoints

Images = NDArray[np.float32]
Shape = tuple[NDArray[np.float64], NDArray[np.int64]]
Row = dict[str, Any]

FIELD_HW = (64, 64)
"""The size of the views of the density field, as a model's score would see them."""
EMPTY_RAW = -8.0
"""The raw density outside the hull, for a field that starts from it: softplus makes .0003 of it."""
REGULARISERS = ("emptiness", "indecision", "depth_smooth", "near_view", "density_smooth", "colour_smooth")


class TrueScore:
    """The squared distance to true views on white (V, 3, H, W), in the place of a model's score."""

    def __init__(self, images: Images) -> None:
        white = images[..., :3] * images[..., 3:] + 1.0 - images[..., 3:]
        self.hw = (images.shape[1], images.shape[2])
        self.true = torch.from_numpy(white).permute(0, 3, 1, 2)

    def loss(self, images: Tensor, which: list[int], done: float, generator: torch.Generator) -> Tensor:
        """See `reconstruct.sjc.ViewScore.loss`."""
        return (images - self.true[which]).square().mean()


def measure_ablation(path: Path, settings: ReconstructSettings, views: int, hw: tuple[int, int]) -> Iterator[Row]:
    """Yield a row for each variant: its `step`, the distances of its mesh, and its CPU-seconds."""
    scan = load_scan(path)
    cameras = draw_viewpoints(0, views, settings.score.radius)
    images = np.stack([draw(scan, camera, hw, lit=True) for camera in cameras]).astype(np.float32) / 255.0
    truth, inside = (scan.vertices, scan.faces), occupied(scan.vertices, scan.faces)
    for step, make in variants(images, cameras, settings):
        cpu_s = time.process_time()
        shape = make()
        cpu_s = time.process_time() - cpu_s
        yield {
            "object": scan.name,
            "step": step,
            "chamfer": chamfer(shape, truth),
            "iou": volumetric_iou(occupied(*shape), inside),
            "cpu_s": cpu_s,
        }


def variants(
    images: Images, cameras: NDArray[np.float64], settings: ReconstructSettings
) -> list[tuple[str, Callable[[], Shape]]]:
    """Return the name of each variant and a function that makes its vertices and faces."""
    photo = Photo((images[0] * 255.0).round().astype(np.uint8), cameras[0], PAPER_LENS)
    none = settings.weights.model_copy(update=dict.fromkeys(REGULARISERS, 0.0))
    plain = settings.model_copy(update={"weights": none})
    fields: dict[str, VoxelField] = {}

    def optimised(name: str, section: ReconstructSettings, *, from_hull: bool) -> VoxelField:
        if name not in fields:
            fields[name] = optimise_density(images, cameras, section, from_hull=from_hull)
        return fields[name]

    def density(name: str, surface: str, section: ReconstructSettings, *, from_hull: bool = False) -> Shape:
        chosen = settings.model_copy(update={"mesh": settings.mesh.model_copy(update={"surface": surface})})
        mesh, _ = field_mesh(optimised(name, section, from_hull=from_hull), photo, chosen, seed=0)
        return mesh.vertices, mesh.faces

    def signed(**sweep: Any) -> Shape:
        section = settings.surface.model_copy(update={"sweep": settings.surface.sweep.model_copy(update=sweep)})
        mesh = surface_mesh(
            fit_surface(images, cameras, PAPER_LENS, section, settings.field.half_extent), settings.mesh.faces
        )
        return mesh.vertices, mesh.faces

    return [
        ("density, at a level, no regularisers", lambda: density("plain", "density", plain)),
        ("density, at a level", lambda: density("field", "density", settings)),
        ("density, depths fused", lambda: density("field", "depths", settings)),
        ("density from the hull, at a level", lambda: density("hull", "density", settings, from_hull=True)),
        ("density from the hull, depths fused", lambda: density("hull", "depths", settings, from_hull=True)),
        ("plain hull", lambda: plain_hull(images[..., 3], cameras, settings.field.half_extent)),
        ("signed distances: hull", lambda: signed(rounds=0)),
        ("+ sweep, fused", lambda: signed(smooth_cells=0.0, checks=())),
        ("+ smoothing", lambda: signed(checks=())),
        ("+ check by silhouettes", lambda: signed(checks=("silhouettes",))),
        ("+ check by colours", lambda: signed(checks=("silhouettes", "colours"))),
    ]


def optimise_density(
    images: Images, cameras: NDArray[np.float64], settings: ReconstructSettings, *, from_hull: bool
) -> VoxelField:
    """Optimise a density field for true views (V, H, W, 4); `from_hull` starts it empty outside the hull."""
    size = images.shape[1] // FIELD_HW[0]
    premultiplied = np.concatenate([images[..., :3] * images[..., 3:], images[..., 3:]], axis=-1)
    small = premultiplied.reshape(len(images), FIELD_HW[0], size, FIELD_HW[1], size, 4).mean((2, 4))
    small[..., :3] /= np.maximum(small[..., 3:], 1e-6)
    view = prepare_input_view((images[0] * 255.0).round().astype(np.uint8), cameras[0], settings)
    run = FieldRun(view, cameras[1:], TrueScore(small[1:].astype(np.float32)), settings, seed=0)
    if from_hull:
        alphas = np.ascontiguousarray(images[..., 3])
        resolution, half_extent = run.field.resolution, settings.field.half_extent
        outside = hull_distance(alphas, cameras, PAPER_LENS, resolution, half_extent) > 2.0 * half_extent / resolution
        with torch.no_grad():
            # The field is indexed [z, y, x].
            run.field.density[0, 0][torch.from_numpy(outside.transpose(2, 1, 0).copy())] = EMPTY_RAW
    while run.done < run.total:
        run.step()
    return run.field


def ablation_table(rows: list[Row]) -> str:
    """Format the means over objects of each step."""
    steps = list(dict.fromkeys(row["step"] for row in rows))
    objects = list(dict.fromkeys(row["object"] for row in rows))
    by = {(row["step"], row["object"]): row for row in rows}
    cells = [
        [
            step,
            *(f"{by[step, name]['chamfer']:.4f} / {by[step, name]['iou']:.3f}" for name in objects),
            f"{np.mean([by[step, name]['chamfer'] for name in objects]):.4f}",
            f"{np.mean([by[step, name]['cpu_s'] for name in objects]):.0f}",
        ]
        for step in steps
    ]
    return markdown_table(["", *objects, "mean CD", "CPU-s"], cells)
