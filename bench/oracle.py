"""The ceiling of reconstruction: the surface fitted to true views of known objects, beside the hull of these views."""

import multiprocessing
import resource
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage.measure import marching_cubes

from base.errors import UsageError
from base.storage import write_atomically
from bench.scans import draw, load_scan
from bench.shape_error import chamfer, occupied
from bench.shape_pictures import shape_strip
from evaluation.shapes.voxels import volumetric_iou
from evaluation.table import markdown_table
from geometry.camera import PAPER_LENS
from reconstruct.hull import hull_opacity
from reconstruct.settings import ReconstructSettings
from reconstruct.simplify import surface_mesh
from reconstruct.surface import fit_surface
from reconstruct.viewpoints import draw_viewpoints
from report.images import encode_image

HULL_RESOLUTION = 128
SOLID = 1.3
"""Objects with a hull of up to this many times their volume count as solid, the others as hollow."""

Row = dict[str, Any]


def measure_folder(
    folder: Path, settings: ReconstructSettings, views: int, hw: tuple[int, int], *, lit: bool, pictures: Path | None
) -> Iterator[Row]:
    """Yield a row for each GLB file in `folder`, measured in a fresh process, so that its peak of memory is its own.

    `pictures` is a folder for a strip of each object.
    """
    paths = sorted(folder.glob("*.glb"))
    if not paths:
        raise UsageError(f"expected GLB files in {folder}, got a folder without")
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
        for path in paths:
            yield pool.submit(measure_object, path, settings, views, hw, lit=lit, pictures=pictures).result()


def measure_object(
    path: Path,
    settings: ReconstructSettings,
    views: int,
    hw: tuple[int, int],
    *,
    lit: bool,
    pictures: Path | None = None,
) -> Row:
    """Fit the surface to true views of an object; compare it and the plain hull with the object."""
    scan = load_scan(path)
    cameras = draw_viewpoints(0, views, settings.score.radius)
    images = np.stack([draw(scan, camera, hw, lit=lit) for camera in cameras]).astype(np.float32) / 255.0
    threads = torch.get_num_threads()
    wall_s, cpu_s = time.monotonic(), time.process_time()
    field = fit_surface(images, cameras, PAPER_LENS, settings.surface, settings.field.half_extent)
    mesh = surface_mesh(field, settings.mesh.faces)
    wall_s, cpu_s = time.monotonic() - wall_s, time.process_time() - cpu_s
    # Read before the truth is measured, which needs memory of its own.
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
    truth, inside = (scan.vertices, scan.faces), occupied(scan.vertices, scan.faces)
    hull = plain_hull(images[..., 3], cameras, settings.field.half_extent)
    hull_inside = occupied(*hull)
    if pictures is not None:
        strip = shape_strip(scan, [truth, hull, (mesh.vertices, mesh.faces)])
        write_atomically(pictures / f"{scan.name}.png", encode_image(Image.fromarray(strip), "png"))
    return {
        "object": scan.name,
        "chamfer": chamfer((mesh.vertices, mesh.faces), truth),
        "iou": volumetric_iou(occupied(mesh.vertices, mesh.faces), inside),
        "hull_chamfer": chamfer(hull, truth),
        "hull_iou": volumetric_iou(hull_inside, inside),
        # The floor: two samples of the same surface.
        "self_chamfer": chamfer(truth, truth),
        "hull_volumes": float(hull_inside.sum() / max(inside.sum(), 1)),
        "faces": len(mesh.faces),
        "seconds": wall_s,
        "cpu_s": cpu_s,
        "threads": threads,
        "mib": peak_mib,
    }


def plain_hull(
    alphas: NDArray[np.float32], cameras: NDArray[np.float64], half_extent: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return vertices and faces of the visual hull on 128³ cells: where no view's interpolated alpha is below half."""
    least = hull_opacity(np.ascontiguousarray(alphas), cameras, PAPER_LENS, HULL_RESOLUTION, half_extent)
    corners, faces, _, _ = marching_cubes(np.pad(least, 1), level=0.5, gradient_direction="descent")
    cell = 2.0 * half_extent / HULL_RESOLUTION
    # scikit-image counts corners clockwise when the array is indexed [x, y, z].
    return (corners.astype(np.float64) - 0.5) * cell - half_extent, faces[:, ::-1].astype(np.int64)


def summarise(rows: list[Row]) -> dict[str, Any]:
    """Group the rows: `solid` and `hollow` with means of chamfer and medians of IoU; means of seconds, largest MiB."""
    groups = {
        "solid": [row for row in rows if row["hull_volumes"] <= SOLID],
        "hollow": [row for row in rows if row["hull_volumes"] > SOLID],
    }
    ratios = [row["chamfer"] / row["hull_chamfer"] for row in rows]
    return {
        **{name: _group(group) for name, group in groups.items() if group},
        "chamfer": float(np.mean([row["chamfer"] for row in rows])),
        "hull_chamfer": float(np.mean([row["hull_chamfer"] for row in rows])),
        "worst_ratio": float(max(ratios)),
        "worst_object": rows[int(np.argmax(ratios))]["object"],
        "seconds": float(np.mean([row["seconds"] for row in rows])),
        "cpu_s": float(np.mean([row["cpu_s"] for row in rows])),
        "mib": float(max(row["mib"] for row in rows)),
    }


def _group(rows: list[Row]) -> dict[str, Any]:
    mean = {name: float(np.mean([row[name] for row in rows])) for name in ("chamfer", "hull_chamfer", "self_chamfer")}
    median = {name: float(np.median([row[name] for row in rows])) for name in ("iou", "hull_iou")}
    return {
        **mean,
        **median,
        "objects": len(rows),
        "seconds": float(np.mean([row["seconds"] for row in rows])),
        "mib": float(max(row["mib"] for row in rows)),
    }


def oracle_line(row: Row) -> str:
    """Format a row for the terminal."""
    kind = "solid" if row["hull_volumes"] <= SOLID else "hollow"
    return (
        f"{row['object'][:32]:<32} {kind:<6} CD {row['chamfer']:.4f} (hull {row['hull_chamfer']:.4f}, itself "
        f"{row['self_chamfer']:.4f}), IoU {row['iou']:.3f} ({row['hull_iou']:.3f}), {row['seconds']:.1f} s, "
        f"{row['cpu_s']:.1f} CPU-s, {row['mib']:.0f} MiB"
    )


def oracle_table(rows: list[Row], summary: dict[str, Any]) -> str:
    """Format the summary and a line for each object as tables."""
    head = ["", "objects", "CD", "hull's CD", "itself", "IoU", "hull's IoU"]
    groups = [(name, summary[name]) for name in ("solid", "hollow") if name in summary]
    first = [[name, str(group["objects"]), *_cells(group)] for name, group in groups]
    each = [[row["object"], "solid" if row["hull_volumes"] <= SOLID else "hollow", *_cells(row)] for row in rows]
    return "\n\n".join([markdown_table(head, first), markdown_table(["object", "kind", *head[2:]], each)])


def _cells(values: dict[str, Any]) -> list[str]:
    distances = [f"{values[name]:.4f}" for name in ("chamfer", "hull_chamfer", "self_chamfer")]
    return [*distances, f"{values['iou']:.3f}", f"{values['hull_iou']:.3f}"]


def oracle_sentence(summary: dict[str, Any]) -> str:
    """Say what the tables do not: the mean of all objects, the worst object, time and memory."""
    return (
        f"All: CD {summary['chamfer']:.4f}, the hull's {summary['hull_chamfer']:.4f}. Worst beside its hull: "
        f"{summary['worst_object']}, {summary['worst_ratio']:.2f} times its hull's CD. Mean {summary['seconds']:.1f} s "
        f"({summary['cpu_s']:.1f} CPU-s), at most {summary['mib']:.0f} MiB."
    )
