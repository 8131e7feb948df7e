"""A reconstruction as files: the mesh, its turntable, and how well it fits the picture it was made from."""

import io
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from base.progress import Progress
from base.storage import write_atomically
from evaluation.metrics import silhouette_iou
from geometry.camera import Lens
from reconstruct.finish import Photo, finish_field
from reconstruct.mesh_files import write_mesh
from reconstruct.optimise import reconstruct
from reconstruct.record import reconstruction_record
from reconstruct.settings import ReconstructSettings
from reconstruct.silhouette import silhouette
from reconstruct.texture import TexturedMesh
from reconstruct.turntable import turntable
from report.images import encode_image
from report.turntable import turntable_webp

if TYPE_CHECKING:
    from zero123.pipeline import Zero123Pipeline

NAME = "object"
MESH_FILE = f"{NAME}.glb"
TURN_S = 6.0
OPAQUE = 127


@dataclass(frozen=True)
class Reconstructed:
    """The mesh of one picture: its `turntable` (frames, H, W, 4) RGBA and its `silhouette` (H, W) from the input."""

    mesh: TexturedMesh
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
    photo = Photo(rgba, cam_from_world, Lens(**settings.lens.model_dump()))
    finished = finish_field(field, photo, settings, seed=seed)
    seen = silhouette(finished.mesh, photo.camera, photo.lens, photo.hw)
    frames = turntable(finished.mesh, photo.lens, settings.turntable, progress)
    made = Reconstructed(finished.mesh, frames, seen, silhouette_iou(seen, rgba[..., 3] > OPAQUE))
    files = write_mesh(finished.mesh, folder, NAME, settings.mesh.also, photo.camera, photo.lens)
    _write_pictures(folder, made, rgba)
    record = reconstruction_record(finished, photo, made.iou, files)
    write_atomically(folder / "reconstruction.json", (json.dumps(record, indent=2) + "\n").encode())
    return made


def read_reconstructed(folder: Path) -> Reconstructed:
    """What `reconstruct_into` left in `folder`."""
    with np.load(folder / "mesh.npz", allow_pickle=False) as kept:
        shape = {field.name: kept[field.name] for field in fields(TexturedMesh)}
        mesh = TexturedMesh(**{**shape, "seen": float(shape["seen"])})
        return Reconstructed(mesh, kept["turntable"], kept["silhouette"], float(kept["iou"]))


def _write_pictures(folder: Path, made: Reconstructed, rgba: NDArray[np.uint8]) -> None:
    stream = io.BytesIO()
    values = {**asdict(made.mesh), "turntable": made.turntable, "silhouette": made.silhouette, "iou": made.iou}
    np.savez_compressed(stream, **values)
    write_atomically(folder / "turntable.webp", turntable_webp(list(made.turntable), seconds=TURN_S))
    write_atomically(folder / "input.png", encode_image(Image.fromarray(rgba), "png"))
    write_atomically(folder / "mesh.npz", stream.getvalue())
