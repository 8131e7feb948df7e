"""An imported model made ready for pictures: what cannot be seen taken out, framed, faces in one place parted."""

from dataclasses import replace
from typing import Any

import bpy

from render.blender.coincident import part_coincident
from render.blender.culling import cull_backs, vanishes_from_a_side
from render.blender.facts import object_facts
from render.blender.normalise import normalise
from render.blender.seen import remove_transparent_faces, seen_framing
from render.job import ObjectFacts


def settle(scene: bpy.types.Scene, settings: dict[str, Any]) -> tuple[dict[str, Any], ObjectFacts]:
    """Normalise the model under a dumped `RenderSettings`; returns the normalisation and what is known of the object.

    Raises Refusal for a model with nothing to see.
    """
    unseen = stray = 0
    if settings["bounds"] == "seen":
        clear = remove_transparent_faces(scene)
        framing = seen_framing()
        unseen, stray = clear + framing.unseen, framing.stray
        normalisation = normalise(scene, lambda: seen_framing().bounds)
    else:
        normalisation = normalise(scene)
    facts = object_facts(scene)
    merged = part_coincident(scene) if settings["coincident_faces"] == "parted" else 0
    culled = 0 if _would_be_lost(settings) else cull_backs()
    return normalisation, replace(
        facts, merged_faces=merged, culled_faces=culled, unseen_faces=unseen, stray_faces=stray
    )


def _would_be_lost(settings: dict[str, Any]) -> bool:
    """Whether a sheet with a hidden back would have views that make it `blank`: such a one shows both its sides."""
    return bool({"transparent", "blank"} & set(settings["checks"]["bad"])) and vanishes_from_a_side()
