"""Render a model's file to a folder of finished views."""

from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from base.digest import canonical_json
from base.outcomes import Outcome
from base.storage import write_atomically
from geometry.camera import camera_centre
from geometry.sphere import spherical_from_cartesian
from render.child import RenderChild
from render.earlier import NO_EARLIER_VIEWS, EarlierViews
from render.formats.model_files import ModelFiles
from render.formats.refused import Refused
from render.formats.registry import model_files
from render.formats.roots import Root
from render.job import COLOUR, NAMELESS_PICTURE, RenderJob, RenderResult, ViewFacts, missing_sentence, view_name
from render.lights import draw_lights
from render.references import file_name
from render.settings import RenderSettings
from render.viewpoints import Floats, draw_viewpoints

SCHEMA = 1


def render_views(  # noqa: PLR0913 -- what one folder of views follows from
    child: RenderChild,
    source: Path,
    uid: str,
    settings: RenderSettings,
    seed: int,
    out_dir: Path,
    earlier: EarlierViews = NO_EARLIER_VIEWS,
    *,
    root: Root | None = None,
    z_up: bool = False,
) -> RenderResult:
    """Render one object; on ok, `out_dir` holds NN.webp, the passes asked for, extrinsics.npy (V, 3, 4) and views.json.

    The model may name files below `root`; without one, below its own folder. An OBJ file is y up, unless `z_up`.
    `earlier` views of the same object and settings are kept and only those after them rendered, which makes the same
    files as rendering all. The outcome says how it ended; nothing about the object raises. Raises Failure when Blender
    cannot run here at all, or when `out_dir` cannot be written.
    """
    try:
        files = model_files(source, root)
    except Refused as refused:
        return RenderResult(outcome=refused.outcome, reason=str(refused), phase="check")
    if files.missing and settings.missing_pictures == "leave_out":
        missing = list(files.missing)
        return RenderResult(
            outcome=Outcome.MISSING_PICTURES, reason=missing_sentence(missing), phase="check", missing_pictures=missing
        )
    extrinsics = draw_viewpoints(settings, uid, seed)
    job = RenderJob(
        uid=uid,
        file=str(source.absolute()),
        seed=seed,
        settings=settings.model_dump(mode="json"),
        extrinsics=extrinsics.tolist(),
        lights=draw_lights(settings.chosen_lights, uid, seed),
        out_dir=str(out_dir),
        first_view=len(earlier.views),
        z_up=z_up,
    )
    result = judge(add_check_results(earlier.join(child.render(job, files)), files), settings.max_bad_views)
    if result.outcome is not Outcome.OK:
        return result
    made = views_record(job, settings, result)
    # Another device, Blender or setting: the views would not fit together.
    if not earlier.agree(made):
        return render_views(child, source, uid, settings, seed, out_dir, root=root, z_up=z_up)
    earlier.copy_to(job)
    write_atomically(out_dir / "extrinsics.npy", npy_bytes(extrinsics))
    # Last: it describes all other files.
    write_atomically(out_dir / "views.json", canonical_json(made).encode())
    return result


def add_check_results(result: RenderResult, files: ModelFiles) -> RenderResult:
    """Return the result with the warnings and missing pictures of the check before Blender."""
    known = {file_name(name) for name in files.missing} | ({NAMELESS_PICTURE} if files.missing else set())
    others = [name for name in result.missing_pictures if file_name(name.rpartition(" (")[0] or name) not in known]
    missing = [*files.missing, *others]
    is_shown = missing and result.outcome is Outcome.OK
    told = [f"shown without these pictures: {', '.join(missing)}"] if is_shown else []
    return replace(result, missing_pictures=missing, warnings=[*files.warnings, *result.warnings, *told])


def judge(result: RenderResult, max_bad_views: int) -> RenderResult:
    """Return the result, with outcome `blank` when more than `max_bad_views` views are bad."""
    bad = [f"{view.view} ({view.bad})" for view in result.views if view.bad]
    if result.outcome is not Outcome.OK or len(bad) <= max_bad_views:
        return result
    reason = f"expected at most {max_bad_views} bad views, got {len(bad)}: {', '.join(bad)}"
    values = {**vars(result), "outcome": Outcome.BLANK, "reason": reason, "phase": "check"}
    return RenderResult(**values)


def views_record(job: RenderJob, settings: RenderSettings, result: RenderResult) -> dict[str, Any]:
    """Return the contents of views.json: equal keys and types for every object, without time, host or attempt."""
    extrinsics = np.array(job.extrinsics)
    return {
        "schema": SCHEMA,
        "uid": job.uid,
        "seed": job.seed,
        "hw": list(settings.hw),
        "lens": settings.lens.model_dump(),
        "colour": COLOUR,
        "settings": settings.model_dump(mode="json", include=RECORDED),
        "normalisation": result.normalisation,
        "lights": result.lights,
        "device": result.device["kind"],
        "versions": result.versions,
        "checks": result.checks,
        "missing_pictures": "; ".join(result.missing_pictures),
        "warnings": "; ".join(result.warnings),
        "passes": " ".join(settings.passes),
        "views": view_rows(result.views, extrinsics),
    }


def view_rows(views: Sequence[ViewFacts], extrinsics: Floats) -> list[dict[str, Any]]:
    """Return the rows of views.json for views: facts, file and camera position."""
    return [{**vars(view), "file": view_name(view.view), **_spherical(extrinsics[view.view])} for view in views]


RECORDED = {
    "camera_sampling", "radius", "framing", "light", "samples", "adaptive_threshold", "clamp_indirect",
    "light_tree", "bounces", "object_rectangle", "filter_width_px", "denoise", "view_transform", "exposure", "pose",
    "alpha", "merge_vertices", "backfaces", "coincident_faces", "bounds", "importer_quirks", "neutral",
}  # fmt: skip


def _spherical(cam_from_world: Floats) -> dict[str, float]:
    polar, azimuth, radius = spherical_from_cartesian(camera_centre(cam_from_world))
    return {"polar_rad": float(polar), "azimuth_rad": float(azimuth), "radius": float(radius)}


def npy_bytes(array: Floats) -> bytes:
    """Return `array` in NumPy's file format."""
    stream = BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()
