"""A reconstruction as files: the mesh, its turntable, and how well it fits the picture it was made from."""

import io
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.turntables import draw_turn, write_turn
from base.progress import Progress
from base.storage import write_atomically
from evaluation.metrics import silhouette_iou
from inference.object_mesh import MeshRequest, finished_mesh, write_object
from reconstruct.silhouette import silhouette
from reconstruct.texture import TexturedMesh
from render.settings import RenderSettings
from report.images import encode_image

NAME = "object"
MESH_FILE = f"{NAME}.glb"
OPAQUE = 127


@dataclass(frozen=True)
class Reconstructed:
    """The mesh of one picture: its `turntable` (frames, H, W, 4) RGBA and its `silhouette` (H, W) from the input."""

    mesh: TexturedMesh
    turntable: NDArray[np.uint8]
    silhouette: NDArray[np.bool_]
    iou: float


def reconstruct_into(folder: Path, request: MeshRequest, render: RenderSettings, progress: Progress) -> Reconstructed:
    """Reconstruct the object of a request and write mesh, turntables, input and figures into `folder`.

    Killed at any moment, the same call goes on from the folder's files.
    """
    section, photo = request.settings.reconstruct, request.photo
    finished = finished_mesh(folder, request, progress)
    seen = silhouette(finished.mesh, photo.camera, photo.lens, photo.hw)
    turn = draw_turn(finished.mesh, photo, section.turntable, render, progress)
    write_turn(folder, turn, section.turntable.films)
    made = Reconstructed(finished.mesh, turn["picture"], seen, silhouette_iou(seen, request.rgba[..., 3] > OPAQUE))
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
    write_atomically(folder / "input.png", encode_image(Image.fromarray(rgba), "png"))
    write_atomically(folder / "mesh.npz", stream.getvalue())
