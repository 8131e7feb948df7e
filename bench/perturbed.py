"""Reconstruction from an oracle that errs as a model does, and what the real model would cost.

The oracle replaces the UNet of the method `views`. For a view behind noise of deviation s in [0, 1] it returns the true
view, changed in two ways.

- Drift: the view is another guess of the object in each view. Its pixels are moved by a smooth random field of `DRIFT`
  of the edge (root mean square), and its colours are multiplied by factors of deviation `TINT`. A view keeps its drift
  through all steps, as a sampler holds on to its first guess.
- Blur: behind much noise only large shapes are visible. The answer is blurred by a Gaussian of `BLUR` s² of the edge.

DDIM samples each view from noise with these answers. A call is an evaluation of the UNet with up to `BATCH` samples;
guidance needs two samples for each view.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from base.seeds import stable_rng
from bench.oracle import plain_hull
from bench.scans import draw, load_scan
from bench.shape_error import chamfer, occupied
from evaluation.shapes.voxels import volumetric_iou
from evaluation.table import markdown_table
from geometry.camera import PAPER_LENS
from reconstruct.finish import Photo
from reconstruct.sampled import fit_sampled_views
from reconstruct.settings import ReconstructSettings
from reconstruct.simplify import surface_mesh
from reconstruct.surface import fit_surface
from reconstruct.texture import bake_texture
from reconstruct.viewpoints import draw_viewpoints

DRIFT, TINT, BLUR = 0.01, 0.05, 0.06
DRIFT_CELLS = 5
"""The drift is interpolated from this many random displacements along each edge."""
BATCH = 8
STEPS = 20
"""Steps of the preset `fast`."""

UNET_GFLOP, DECODE_GFLOP, ENCODE_GFLOP, CLIP_GFLOP = 176.34, 622.2, 272.7, 162.0
"""Of a sample at 256 px: the paper's UNet with one context token, its autoencoder both ways, and CLIP ViT-L/14.

Counted by torch's flop counter, 2 for a multiplication with its addition. Encoder and CLIP see the photo alone.
"""
H200_TFLOPS, SHARE = 790.0, 0.4
"""Dense bf16 products of an H200, and the share of it that is expected of a UNet."""
LIMIT_CALLS, LIMIT_S, WITHIN = 600, 120.0, 1.1

Row = dict[str, Any]
Images = NDArray[np.float32]


class PerturbedOracle:
    """A denoiser of `views`, straight RGBA (V, H, W, 4) in [0, 1], that counts its `calls`."""

    def __init__(self, views: Images, seed: int) -> None:
        self.calls = 0
        self.guesses = np.stack([drifted(view, seed, number) for number, view in enumerate(premultiplied(views))])

    def denoised(self, which: list[int], noise: float) -> Images:
        """Answer for the views `which` behind noise of deviation `noise`; premultiplied RGBA (B, H, W, 4)."""
        # Guidance: a sample with the condition and another without.
        self.calls += -(-2 * len(which) // BATCH)
        blur = BLUR * noise**2 * self.guesses.shape[1]
        return np.asarray(ndimage.gaussian_filter(self.guesses[which], (0.0, blur, blur, 0.0)), np.float32)


def premultiplied(rgba: Images) -> Images:
    """Multiply the colours of straight RGBA (..., 4) by alpha."""
    return np.concatenate([rgba[..., :3] * rgba[..., 3:], rgba[..., 3:]], axis=-1)


def drifted(view: Images, seed: int, number: int) -> Images:
    """Return a premultiplied view (H, W, 4) as another guess: its pixels moved smoothly, its colours multiplied."""
    rng = stable_rng(seed, "perturbed-oracle", number)
    height, width = view.shape[:2]
    coarse = rng.standard_normal((2, DRIFT_CELLS, DRIFT_CELLS))
    zoom = (1.0, height / DRIFT_CELLS, width / DRIFT_CELLS)
    drift = ndimage.zoom(coarse, zoom, order=3, mode="nearest", grid_mode=True)
    drift *= DRIFT * max(height, width) / np.sqrt(np.square(drift).sum(0).mean())
    moved = np.indices((height, width)) + drift
    result = np.stack([ndimage.map_coordinates(view[..., k], moved, order=1) for k in range(4)], axis=-1)
    result[..., :3] *= 1.0 + TINT * rng.standard_normal(3)
    result[..., :3] = result[..., :3].clip(0.0, result[..., 3:])
    return np.asarray(result, np.float32)


def sample_views(oracle: PerturbedOracle, count: int, steps: int, seed: int) -> Images:
    """Sample all views by DDIM in `steps` steps from noise; straight RGBA (V, H, W, 4) in [0, 1]."""
    # The cosine schedule; alpha² + s² = 1.
    angles = np.linspace(0.499 * np.pi, 0.0, steps + 1)
    alphas, noises = np.cos(angles), np.sin(angles)
    sampled = []
    for first in range(0, count, BATCH // 2):
        which = list(range(first, min(first + BATCH // 2, count)))
        x = stable_rng(seed, "perturbed-start", first).standard_normal(oracle.guesses[which].shape).astype(np.float32)
        for now in range(steps):
            clean = oracle.denoised(which, float(noises[now]))
            rest = (x - alphas[now] * clean) / noises[now]
            x = (alphas[now + 1] * clean + noises[now + 1] * rest).astype(np.float32)
        sampled.append(x)
    both = np.concatenate(sampled).clip(0.0, 1.0)
    colour = both[..., :3] / np.maximum(both[..., 3:], 1e-3)
    return np.asarray(np.concatenate([colour.clip(0.0, 1.0), both[..., 3:]], axis=-1), np.float32)


@dataclass(frozen=True)
class Cost:
    """UNet `calls`, sampled `views`, and `cpu_s` of all work beside the model."""

    calls: int
    views: int
    cpu_s: float

    @property
    def model_s(self) -> float:
        """Return the seconds of the model on an H200, by its FLOP count."""
        gflop = self.calls * BATCH * UNET_GFLOP + self.views * DECODE_GFLOP + ENCODE_GFLOP + CLIP_GFLOP
        return gflop / 1000.0 / (H200_TFLOPS * SHARE)

    @property
    def total_s(self) -> float:
        """Return the projected seconds of the whole run."""
        return self.model_s + self.cpu_s


def measure_perturbed(path: Path, settings: ReconstructSettings, views: int, hw: tuple[int, int], *, lit: bool) -> Row:
    """Reconstruct an object from perturbed views; compare it with the surface and the hull of as many true views."""
    scan = load_scan(path)
    cameras = draw_viewpoints(0, views + 1, settings.score.radius)
    true = np.stack([draw(scan, camera, hw, lit=lit) for camera in cameras]).astype(np.float32) / 255.0
    photo = Photo((true[0] * 255.0).round().astype(np.uint8), cameras[0], PAPER_LENS)
    oracle = PerturbedOracle(true[1:], 0)
    sampled = sample_views(oracle, views, STEPS, 0)
    cpu_s = time.process_time()
    field = fit_sampled_views(photo, sampled, cameras[1:], settings)
    mesh = surface_mesh(field, settings.mesh.faces)
    seen = np.concatenate([true[:1], sampled])
    bake_texture(mesh, seen, cameras, PAPER_LENS, settings.mesh.texture.edge_px, first_is_photo=True)
    cost = Cost(oracle.calls, views, time.process_time() - cpu_s)
    ceiling = surface_mesh(
        fit_surface(true, cameras, PAPER_LENS, settings.surface, settings.field.half_extent), settings.mesh.faces
    )
    hull = plain_hull(true[..., 3], cameras, settings.field.half_extent)
    truth, inside = (scan.vertices, scan.faces), occupied(scan.vertices, scan.faces)
    meshes = {"": (mesh.vertices, mesh.faces), "ceiling_": (ceiling.vertices, ceiling.faces), "hull_": hull}
    return {
        "object": scan.name,
        **{f"{name}chamfer": chamfer(shape, truth) for name, shape in meshes.items()},
        **{f"{name}iou": volumetric_iou(occupied(*shape), inside) for name, shape in meshes.items()},
        "self_chamfer": chamfer(truth, truth),
        "calls": cost.calls,
        "cpu_s": cost.cpu_s,
        "model_s": cost.model_s,
        "total_s": cost.total_s,
        "threads": torch.get_num_threads(),
    }


def perturbed_table(rows: list[Row]) -> str:
    """Format a line for each object and the means."""
    head = ["object", "CD", "ceiling's CD", "hull's CD", "itself", "IoU", "ceiling's IoU", "hull's IoU", "CPU-s"]
    keys = ["chamfer", "ceiling_chamfer", "hull_chamfer", "self_chamfer", "iou", "ceiling_iou", "hull_iou"]
    lines = [(row["object"], row) for row in rows]
    lines.append(("mean", {key: float(np.mean([row[key] for row in rows])) for key in [*keys, "cpu_s"]}))
    cells = [
        [
            name,
            *(f"{row[key]:.4f}" for key in keys[:4]),
            *(f"{row[key]:.3f}" for key in keys[4:]),
            f"{row['cpu_s']:.0f}",
        ]
        for name, row in lines
    ]
    return markdown_table(head, cells)


def summarise_perturbed(rows: list[Row]) -> dict[str, Any]:
    """Return the means, the ratio to the ceiling's CD, and whether calls, seconds and ratio are within their limits."""
    mean = {key: float(np.mean([row[key] for row in rows])) for key in rows[0] if key != "object"}
    ratio = mean["chamfer"] / mean["ceiling_chamfer"]
    calls = max(row["calls"] for row in rows)
    within = {"calls": calls <= LIMIT_CALLS, "seconds": mean["total_s"] <= LIMIT_S, "quality": ratio <= WITHIN}
    drawn = {"drift": DRIFT, "tint": TINT, "blur": BLUR, "batch": BATCH, "steps": STEPS}
    return {**mean, "ratio_to_ceiling": ratio, "calls": calls, "within": within, "perturbation": drawn}


def perturbed_sentence(summary: dict[str, Any]) -> str:
    """Say what the table does not: calls, the ratio to the ceiling, and the projection for an H200."""
    return (
        f"{summary['calls']} calls of up to {BATCH} samples. CD {summary['ratio_to_ceiling']:.2f} times that of true "
        f"views (limit {WITHIN}). Projection for an H200: {summary['total_s']:.1f} s. The model takes "
        f"{summary['model_s']:.1f} s of them at {SHARE:.0%} of {H200_TFLOPS:.0f} TFLOP/s; the rest are CPU-seconds "
        "measured here."
    )
