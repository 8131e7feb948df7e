"""Turntables of a mesh: its picture, depth and normals during a turn, by our rasteriser or by Blender, as films."""

import tempfile
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from base.errors import Failure
from base.outcomes import Outcome
from base.passes import pass_file
from base.progress import Progress, Task
from base.storage import write_atomically
from reconstruct.finish import Photo
from reconstruct.gltf import textured_glb
from reconstruct.settings import TurntableSettings
from reconstruct.texture import TexturedMesh
from reconstruct.turntable import Turn, depth_frame, normal_frame, turntable
from reconstruct.viewpoints import orbit
from render.child import RenderChild
from render.formats.registry import model_files
from render.job import RenderJob, view_name
from render.lights import draw_lights
from render.settings import RenderSettings
from report.turntable import turntable_webp
from report.video import video_bytes

Floats = NDArray[np.float64]

TURN_S = 6.0
UID = "turntable"
PASSES = {"depth": "depth", "normal": "normal_camera"}
"""The renderer's pass behind each kind of turntable."""


def check_turntables(settings: TurntableSettings) -> None:
    """Raise Failure when a package for the films or for the renderer is not installed."""
    if settings.renderer == "cycles" and find_spec("bpy") is None:
        raise Failure("--render cycles: expected Blender: pip install -c constraints.txt -e '.[render]'")
    if set(settings.films) - {"webp"} and find_spec("av") is None:
        raise Failure("--turntable: expected PyAV, which makes films: pip install -c constraints.txt -e '.[video]'")


def draw_turn(
    mesh: TexturedMesh, photo: Photo, settings: TurntableSettings, render: RenderSettings, progress: Progress
) -> Turn:
    """Draw a full turn around the mesh by `settings.renderer`. Raises Failure when Blender cannot."""
    if settings.renderer == "cycles":
        return _rendered(mesh, photo, settings, render, progress)
    return turntable(mesh, photo.lens, settings, progress)


def write_turn(folder: Path, turn: Turn, films: Sequence[str]) -> None:
    """Write each kind of turntable in each kind of film: turntable.webp, turntable_depth.mp4, …"""
    for name, frames in turn.items():
        stem = "turntable" if name == "picture" else f"turntable_{name}"
        for film in dict.fromkeys(films):
            if film == "webp":
                data = turntable_webp(list(frames), seconds=TURN_S)
            else:
                data = video_bytes(list(frames), film, len(frames) / TURN_S)
            write_atomically(folder / f"{stem}.{film}", data)


def in_unit_box(cameras: Floats, mesh: TexturedMesh) -> tuple[Floats, float]:
    """Return cameras (V, 3, 4) with the same view of the mesh after the renderer has moved it into its unit box.

    The second value is the longest edge of the mesh, which the renderer makes 1.
    """
    corners = mesh.vertices[mesh.faces]
    low, high = corners.min((0, 1)), corners.max((0, 1))
    edge = float((high - low).max())
    moved = cameras[..., :3] @ ((low + high) / 2.0) + cameras[..., 3]
    return np.concatenate([cameras[..., :3], moved[..., None] / edge], axis=-1), edge


def _rendered(
    mesh: TexturedMesh, photo: Photo, settings: TurntableSettings, render: RenderSettings, progress: Progress
) -> Turn:
    """Render the turn of the mesh's GLB with Blender, under the lights of `render`."""
    cameras, edge = in_unit_box(orbit(settings.frames, settings.elevation_deg, settings.radius), mesh)
    passes = tuple(PASSES[name] for name in settings.passes)
    lens = render.lens.model_copy(update={"focal_mm": photo.lens.focal_mm, "sensor_mm": photo.lens.sensor_mm})
    chosen = render.model_copy(update={"hw": settings.hw, "passes": passes, "lens": lens})
    with tempfile.TemporaryDirectory() as scratch, RenderChild(chosen) as child:
        file = Path(scratch) / "object.glb"
        file.write_bytes(textured_glb(mesh, photo.camera, photo.lens))
        job = RenderJob(
            uid=UID,
            file=str(file),
            seed=0,
            settings=chosen.model_dump(mode="json"),
            extrinsics=cameras.tolist(),
            lights=draw_lights(chosen.chosen_lights, UID, 0),
            out_dir=str(Path(scratch) / "views"),
        )
        with progress.task("turntable", total=len(cameras), unit="frames") as task:
            child.watch = _count(task, len(cameras))
            result = child.render(job, model_files(file))
        if result.outcome is not Outcome.OK:
            raise Failure(f"turntable: expected Blender to render the mesh, got {result.outcome}: {result.reason}")
        return _read_turn(Path(job.out_dir), settings, edge)


def _count(task: Task, frames: int) -> Callable[[str], None]:
    """Make a callback to count frames on a task by their phases, at most `frames`: passes are encoded on their own."""
    coming = iter(range(frames))

    def count(phase: str) -> None:
        if phase == "encode" and next(coming, None) is not None:
            task.advance(1)

    return count


def _read_turn(folder: Path, settings: TurntableSettings, edge: float) -> Turn:
    """Read the frames of a rendered turn; `edge` is the length of the renderer's unit."""
    pictures, count = [], settings.frames
    for view in range(count):
        with Image.open(folder / view_name(view)) as picture:
            pictures.append(np.asarray(picture.convert("RGBA")))
    turn = {"picture": np.stack(pictures)}
    for name in settings.passes:
        passed = [np.load(folder / pass_file(view, PASSES[name]), allow_pickle=False) for view in range(count)]
        both = list(zip(passed, [seen[..., 3] for seen in pictures], strict=True))
        if name == "depth":
            turn[name] = np.stack([depth_frame(depth * edge, alpha, settings.radius) for depth, alpha in both])
        else:
            turn[name] = np.stack([normal_frame(normal, alpha) for normal, alpha in both])
    return turn
