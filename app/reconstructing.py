"""A reconstruction as files: the mesh, its turntable, and how well it fits the picture it was made from."""

import io
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from base.progress import Progress
from base.storage import write_atomically
from evaluation.metrics import silhouette_iou
from inference.object_mesh import MeshRequest, finished_mesh, write_object
from reconstruct.silhouette import silhouette
from reconstruct.texture import TexturedMesh
from reconstruct.turntable import turntable
from report.images import encode_image
from report.turntable import turntable_webp

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


def reconstruct_into(folder: Path, request: MeshRequest, progress: Progress) -> Reconstructed:
    """Reconstruct the object of a request and write mesh, turntable, input and figures into `folder`.

    Killed at any moment, the same call goes on from the folder's files.
    """
    section, photo = request.settings.reconstruct, request.photo
    finished = finished_mesh(folder, request, progress)
    seen = silhouette(finished.mesh, photo.camera, photo.lens, photo.hw)
    frames = turntable(finished.mesh, photo.lens, section.turntable, progress)
    made = Reconstructed(finished.mesh, frames, seen, silhouette_iou(seen, request.rgba[..., 3] > OPAQUE))
    _write_pictures(folder, made, request.rgba)
    # Last: it removes the checkpoint, which a killed run needs to go on.
    write_object(folder, NAME, finished, request, made.iou)
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
