"""Meshes from a single view of an object, by several methods, against all its other views."""

import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from app.settings import Settings
from base.errors import Failure
from base.progress import SILENT
from bench.oracle import plain_hull
from evaluation.shape import ViewOfMesh, mesh_against_views
from evaluation.table import markdown_table
from geometry.camera import Lens
from inference.object_mesh import MeshRequest, finished_mesh
from inference.sample_photo import LoadedModel
from reconstruct.mesh import Mesh, extract
from reconstruct.optimise import reconstruct
from shards.sample import Sample

Row = dict[str, Any]


def measure(model: LoadedModel, sample: Sample, view: int, settings: Settings, method: str) -> Row:
    """Make the mesh of a view by a method of METHODS, and compare it with the views.

    A method that finds no surface agrees with nothing: its IoU is 0, and its row has the `failure`.
    """
    cpu_s = time.process_time()
    row: Row = {"uid": sample.uid, "method": method}
    try:
        mesh = METHODS[method](model, sample, view, settings)
    except Failure as failure:
        nothing, cpu_s = {"iou": 0.0, "psnr_db": None}, time.process_time() - cpu_s
        return {**row, "input": nothing, "others": nothing, "failure": str(failure), "faces": 0, "cpu_s": cpu_s}
    cpu_s = time.process_time() - cpu_s
    count = len(sample.extrinsics)
    images = [sample.image(number) for number in range(count)]
    lens = Lens(**settings.reconstruct.lens.model_dump())
    seen = mesh_against_views(mesh, images, sample.extrinsics, lens, range(count))
    others = [one for one in seen if one.view != view]
    return {**row, "input": _means([seen[view]]), "others": _means(others), "faces": len(mesh.faces), "cpu_s": cpu_s}


def table(rows: list[Row]) -> str:
    """Format the means of each method over the objects."""
    methods = list(dict.fromkeys(row["method"] for row in rows))
    means = []
    for method in methods:
        own = [row for row in rows if row["method"] == method]
        iou = [float(np.mean([row[views]["iou"] for row in own])) for views in ("input", "others")]
        colours = [row["others"]["psnr_db"] for row in own if row["others"]["psnr_db"] is not None]
        shown = f"{np.mean(colours):.2f}" if colours else "–"
        missing = sum("failure" in row for row in own)
        cost = f"{np.mean([row['cpu_s'] for row in own]):.0f}"
        means.append([method, str(len(own)), f"{iou[0]:.3f}", f"{iou[1]:.3f}", shown, str(missing), cost])
    header = ["method", "objects", "input IoU", "other views' IoU", "their PSNR, dB", "failed", "CPU-s"]
    return markdown_table(header, means)


def line(row: Row) -> str:
    """Format a row for the console."""
    found = f"input IoU {row['input']['iou']:.3f}, other views {row['others']['iou']:.3f}, {row['cpu_s']:.0f} CPU-s"
    return f"{row['uid'][:32]:<32} {row['method']:<8} {row.get('failure', found)}"


def _means(views: list[ViewOfMesh]) -> dict[str, float]:
    return {"iou": float(np.mean([one.iou for one in views])), "psnr_db": float(np.mean([one.psnr for one in views]))}


def _by_views(model: LoadedModel, sample: Sample, view: int, settings: Settings) -> Mesh:
    """Fit a surface to views that the model samples."""
    asked = settings.model_copy(update={"reconstruct": settings.reconstruct.model_copy(update={"method": "views"})})
    request = MeshRequest(
        model=model, rgba=sample.image(view), camera=sample.extrinsics[view], settings=asked, seed=settings.run.seed
    )
    with tempfile.TemporaryDirectory() as folder:
        return finished_mesh(Path(folder), request, SILENT).mesh


def _by_score(weight: float | None) -> Callable[[LoadedModel, Sample, int, Settings], Mesh]:
    """Optimise a density field, with another weight of the score if it is given."""

    def make(model: LoadedModel, sample: Sample, view: int, settings: Settings) -> Mesh:
        section = settings.reconstruct
        if weight is not None:
            section = section.model_copy(update={"weights": section.weights.model_copy(update={"score": weight})})
        field = reconstruct(
            model.pipeline, sample.image(view), sample.extrinsics[view], section, seed=0, progress=SILENT
        )
        return extract(field, section.mesh).mesh

    return make


def _hull(_: LoadedModel, sample: Sample, view: int, settings: Settings) -> Mesh:
    """Extrude the view's silhouette along its rays through the cube, in the object's mean colour."""
    rgba = sample.image(view).astype(np.float32) / 255.0
    vertices, faces = plain_hull(
        rgba[None, ..., 3], sample.extrinsics[view][None], settings.reconstruct.field.half_extent
    )
    mean = (rgba[..., :3] * rgba[..., 3:]).sum((0, 1)) / rgba[..., 3].sum()
    colours = np.broadcast_to((mean * 255.0).round().astype(np.uint8), (len(vertices), 3))
    # Normals matter to light alone, and views are compared without it.
    return Mesh(vertices, faces, np.zeros_like(vertices), colours)


METHODS: Mapping[str, Callable[[LoadedModel, Sample, int, Settings], Mesh]] = {
    "views": _by_views,
    "score": _by_score(None),
    "unscored": _by_score(0.0),
    "hull": _hull,
}
"""`views` and `score` are those of `reconstruct.method`. `unscored` leaves the input view and the priors of the other
losses. `hull` is the visual hull of the single view."""
