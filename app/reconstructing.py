"""A reconstruction as files: the mesh, its turntable, and how well it fits the picture it was made from."""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from base.progress import Progress
from base.storage import write_atomically
from evaluation.metrics import silhouette_iou
from geometry.camera import Lens
from reconstruct.gltf import glb_bytes
from reconstruct.mesh import Mesh, extract
from reconstruct.optimise import reconstruct
from reconstruct.settings import ReconstructSettings
from reconstruct.silhouette import silhouette
from reconstruct.turntable import turntable
from report.images import encode_image
from report.turntable import turntable_webp

if TYPE_CHECKING:
    from zero123.pipeline import Zero123Pipeline

MESH_FILE = "object.glb"
TURN_S = 6.0
OPAQUE = 127


@dataclass(frozen=True)
class Reconstructed:
    """The mesh of one picture: its `turntable` (frames, H, W, 4) RGBA and its `silhouette` (H, W) from the input."""

    mesh: Mesh
    turntable: NDArray[np.uint8]
    silhouette: NDArray[np.bool_]
    iou: float


def reconstruct_into(
    folder: Path,
    pipeline: "Zero123Pipeline",
    rgba: NDArray[np.uint8],
    cam_from_world: NDArray[np.float64],
    settings: ReconstructSettings,
    *,
    seed: int,
    progress: Progress,
) -> Reconstructed:
    """Reconstruct the object in `rgba` (H, W, 4) and write mesh, turntable, input and figures into `folder`."""
    field = reconstruct(pipeline, rgba, cam_from_world, settings, seed=seed, progress=progress)
    lens = Lens(**settings.lens.model_dump())
    mesh = extract(field, settings.mesh)
    seen = silhouette(mesh, cam_from_world, lens, (rgba.shape[0], rgba.shape[1]))
    frames = turntable(mesh, lens, settings.turntable, progress)
    made = Reconstructed(mesh, frames, seen, silhouette_iou(seen, rgba[..., 3] > OPAQUE))
    _write(folder, made, rgba)
    return made


def read_reconstructed(folder: Path) -> Reconstructed:
    """What `reconstruct_into` left in `folder`."""
    with np.load(folder / "mesh.npz", allow_pickle=False) as kept:
        mesh = Mesh(**{name: kept[name] for name in ("vertices", "faces", "normals", "colours")})
        return Reconstructed(mesh, kept["turntable"], kept["silhouette"], float(kept["iou"]))


def _write(folder: Path, made: Reconstructed, rgba: NDArray[np.uint8]) -> None:
    stream = io.BytesIO()
    mesh = made.mesh
    np.savez_compressed(
        stream,
        vertices=mesh.vertices,
        faces=mesh.faces,
        normals=mesh.normals,
        colours=mesh.colours,
        turntable=made.turntable,
        silhouette=made.silhouette,
        iou=made.iou,
    )
    facts = {"silhouette_iou": made.iou, "vertices": len(mesh.vertices), "faces": len(mesh.faces)}
    write_atomically(folder / MESH_FILE, glb_bytes(mesh))
    write_atomically(folder / "turntable.webp", turntable_webp(list(made.turntable), seconds=TURN_S))
    write_atomically(folder / "input.png", encode_image(Image.fromarray(rgba), "png"))
    write_atomically(folder / "mesh.npz", stream.getvalue())
    write_atomically(folder / "reconstruction.json", (json.dumps(facts, indent=2) + "\n").encode())
