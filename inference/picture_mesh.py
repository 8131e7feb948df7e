"""A picture's mesh as the files of a sample: `object.glb`, views of it all around, cameras, and the record of all."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from base.digest import sha256_file
from base.outcomes import Outcome
from base.storage import write_atomically
from geometry.camera import look_at_origin
from geometry.sphere import cartesian_from_spherical
from inference.object_mesh import MeshRequest, finished_mesh
from inference.phase_progress import PhaseProgress
from inference.picture_request import MESH, MeshesRequest, PictureJob, PictureSections
from inference.picture_views import UnusablePicture, find_or_given, photo_facts, prepared_picture, write_views
from inference.sample_photo import LoadedModel
from reconstruct.gltf import textured_glb
from reconstruct.record import reconstruction_record
from reconstruct.silhouette import silhouette
from reconstruct.turntable import turntable
from reconstruct.viewpoints import orbit

OPAQUE = 127


def write_picture_mesh(
    job: PictureJob,
    model: LoadedModel,
    sections: PictureSections,
    request: MeshesRequest,
    enter: Callable[[str], None],
) -> tuple[int, str]:
    """Make the mesh of a picture and draw its turntable into `job.out`; the number of views, and warnings.

    Raises UnusablePicture. UsageError and Failure are about the settings.
    """
    photo = prepared_picture(job, sections, request.assume_cut_out, enter)
    if not photo.has_background:
        raise UnusablePicture(Outcome.EMPTY, f"{job.file}: expected an object before a background, got no background")
    rgba = photo.view(model.pipeline.hw)
    elevation, source = find_or_given(job, rgba, model, sections, (request.elevation_deg, request.seed), enter)
    # The command requires an elevation.
    polar = float(np.deg2rad(90.0 - (elevation or 0.0)))
    camera = look_at_origin(cartesian_from_spherical(polar, 0.0, request.radius))
    asked = MeshRequest(model=model, rgba=rgba, camera=camera, settings=sections, seed=request.seed)
    out, settings = Path(job.out), sections.reconstruct
    enter("reconstruct")
    finished = finished_mesh(out / "work", asked, PhaseProgress(partial(enter, "reconstruct")))
    shutil.rmtree(out / "work", ignore_errors=True)
    enter("turntable")
    turn, cameras = settings.turntable, orbit(*_turn_of(settings.turntable))
    progress = PhaseProgress(partial(enter, "turntable"))
    frames = turntable(finished.mesh, asked.photo.lens, turn, progress)["picture"]
    enter("encode")
    write_atomically(out / MESH, textured_glb(finished.mesh, camera, asked.photo.lens))
    seen = silhouette(finished.mesh, camera, asked.photo.lens, asked.photo.hw)
    wanted = rgba[..., 3] > OPAQUE
    iou = float((seen & wanted).sum() / max((seen | wanted).sum(), 1))
    facts = reconstruction_record(finished, asked.photo, settings.method, iou, [MESH])
    # A level is that of a density field alone, and a sample's facts have no nulls.
    made = {name: value for name, value in facts.items() if value is not None}
    record: dict[str, Any] = {
        "hw": list(turn.hw),
        "lens": {"focal_mm": asked.photo.lens.focal_mm, "sensor_mm": asked.photo.lens.sensor_mm},
        "model": {"from": model.source, "digest": model.digest},
        "seed": request.seed,
        "elevation": {"deg": float(elevation or 0.0), "source": source},
        "photo": photo_facts(photo, rgba),
        "mesh": {"sha256": sha256_file(out / MESH), "bytes": (out / MESH).stat().st_size},
        "reconstruction": made,
    }
    write_views(job, list(frames), np.asarray(cameras), rgba, record)
    return len(frames), "; ".join(photo.warnings)


def _turn_of(settings: Any) -> tuple[int, float, float]:
    return settings.frames, settings.elevation_deg, settings.radius
