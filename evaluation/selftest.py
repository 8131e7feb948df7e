"""Check the measurements on this machine: closed forms, and oracles on views and meshes made on the spot."""

import math
from collections.abc import Iterator

import numpy as np

from evaluation.images.frechet import Gaussian, frechet_distance
from evaluation.images.psnr import psnr_db
from evaluation.images.ssim import SSIM_VARIANTS, ssim
from evaluation.mesh_metrics import MeshComparison
from evaluation.protocol import MeshVariant
from evaluation.shapes.distances import chamfer_variants, nearest_points
from evaluation.shapes.triangles import Triangles
from evaluation.shapes.voxels import Grid, parity_fill, volumetric_iou

Finding = tuple[str, bool, str]


def selftest() -> Iterator[Finding]:
    """Yield (check, passed, sentence)."""
    yield from _pictures()
    yield from _shapes()
    first, second = Gaussian(np.zeros(2), np.diag([1.0, 4.0])), Gaussian(np.array([3.0, 0.0]), np.diag([4.0, 1.0]))
    yield _close("Fréchet distance of two Gaussians", frechet_distance(first, second), 11.0)


def _pictures() -> Iterator[Finding]:
    true = np.full((32, 32, 3), 0.5)
    # Exactly half of the values go up: the error is known in closed form.
    signs = np.where(np.indices(true.shape).sum(axis=0) % 2 == 0, 1.0, -1.0)
    for levels in (1, 5, 50):
        delta = levels / 255.0
        yield _close(f"PSNR of ± {levels}/255", psnr_db(true + delta * signs, true), -20.0 * math.log10(delta))
    yield _close("PSNR of the truth", psnr_db(true, true), math.inf)
    ramp = np.linspace(0.0, 1.0, 32)[None, :, None] * np.ones((32, 1, 3))
    for name in SSIM_VARIANTS:
        yield _close(f"SSIM ({name}) of the truth", ssim(ramp, ramp, name), 1.0)


def _shapes() -> Iterator[Finding]:
    flat = np.stack([*np.indices((20, 20)).reshape(2, -1) / 20.0, np.zeros(400)], axis=1)
    found = chamfer_variants(nearest_points(flat + np.array([0.0, 0.0, 0.1]), flat))
    yield _close("Chamfer of planes 0.1 apart", found["mean"], 0.1)
    left, right = (parity_fill(cube_mesh(0.2, x), Grid.of_unit_cube(50)) for x in (-0.1, 0.1))
    yield _close("IoU of cubes shifted by half an edge", volumetric_iou(left, right), 1.0 / 3.0)
    variant = MeshVariant(
        truth_steps=("unit-cube",), steps=("unit-cube",), sample="surface", points=10_000, grid="unit-cube",
        fill="rays", metrics=("chamfer/mean", "chamfer/floor", "iou"),
    )  # fmt: skip
    values = MeshComparison(variant, "cube", cube_mesh(0.3, 0.0), cube_mesh(0.2, 0.1), []).values()
    yield _close("IoU of a cube with itself, elsewhere and larger", values["iou"], 1.0)
    # The mean distance to the nearest of N uniform points on an area A is √(A / N) / 2.
    yield _close(
        "Chamfer floor of 10,000 points on a cube", values["chamfer/mean"], math.sqrt(6.0 / 10_000) / 2.0, 0.03
    )
    yield _close("the floor as reported", values["chamfer/floor"], values["chamfer/mean"], 0.03)


def cube_mesh(half: float, x: float) -> Triangles:
    """Return a cube of half an edge `half` with its centre at (x, 0, 0)."""
    corners = np.stack(np.meshgrid(*[(-half, half)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    corners += np.array([x, 0.0, 0.0])
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = [triangle for a, b, c, d in quads for triangle in ((a, b, c), (a, c, d))]
    return Triangles(corners, np.array(faces, np.int64))


def _close(name: str, got: float, expected: float, relative: float = 1e-6) -> Finding:
    # Two infinities are equal but not close.
    return name, got == expected or math.isclose(got, expected, rel_tol=relative), f"{got:.9g}, expected {expected:.9g}"
