"""Make an imported model ready for rendering: remove invisible faces, normalise, part coincident faces."""

from dataclasses import replace
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from geometry.camera import Lens
from render.blender.backs import count_first_backs
from render.blender.coincident import part_coincident
from render.blender.culling import cull_backs, vanishes_from_a_side
from render.blender.facts import object_facts
from render.blender.georeference import ORIGIN
from render.blender.normalise import normalise
from render.blender.seen import remove_transparent_faces, seen_framing
from render.job import ObjectFacts, RenderJob


def finish_model(scene: bpy.types.Scene, job: RenderJob) -> tuple[dict[str, Any], ObjectFacts]:
    """Normalise the model as a job has it; returns the normalisation and what is known of the object.

    Raises Refusal for a model with nothing to see.
    """
    settings = job.settings
    unseen = stray = 0
    if settings["bounds"] == "seen":
        clear = remove_transparent_faces(scene)
        framing = seen_framing()
        unseen, stray = clear + framing.unseen, framing.stray
        # Measured anew on each call: `normalise` measures again after it has moved the model.
        normalisation = normalise(scene, lambda: seen_framing().bounds)
    else:
        normalisation = normalise(scene)
    _tell_from_origin(normalisation, np.array(scene.get(ORIGIN, (0.0, 0.0, 0.0)), np.float64))
    facts = object_facts(scene)
    # After normalising: its distances are for a model with a longest edge of 1.
    merged = part_coincident(scene) if settings["coincident_faces"] == "parted" else 0
    # After parting, which reads the materials as they came.
    hidden = set[str]() if _would_be_lost(settings) else cull_backs()
    culled = count_first_backs(hidden, np.array(job.extrinsics), Lens(**settings["lens"]), tuple(settings["hw"]))
    return normalisation, replace(
        facts, merged_faces=merged, culled_faces=culled, unseen_faces=unseen, stray_faces=stray
    )


def _tell_from_origin(normalisation: dict[str, Any], origin: NDArray[np.float64]) -> None:
    """Add the offset of `bring_near` to the normalisation, so that it starts from the file's coordinates."""
    for key in ("centre", "bounds"):
        normalisation[key] = (np.array(normalisation[key]) + origin).tolist()


def _would_be_lost(settings: dict[str, Any]) -> bool:
    """Whether a sheet with a hidden back would have views that make it `blank`: such a one shows both its sides."""
    return bool({"transparent", "blank"} & set(settings["checks"]["bad"])) and vanishes_from_a_side()
