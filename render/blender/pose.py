"""The one moment at which an animated or skinned model is seen."""

import math
from collections.abc import Iterator

import bpy


def take_pose(scene: bpy.types.Scene, pose: str) -> None:
    """Put the model into its `rest` pose (skins as bound, nothing animated) or its `first_frame`."""
    if pose == "rest":
        for animated in list(_animated()):
            animated.animation_data_clear()
        for armature in bpy.data.armatures:
            armature.pose_position = "REST"
    frame = first_frame(scene)
    whole = math.floor(frame)
    scene.frame_set(whole, subframe=frame - whole)


def first_frame(scene: bpy.types.Scene) -> float:
    """The earliest frame of any animation that plays; the scene's own start when none does."""
    starts = [start for animated in _animated() for start in _starts(animated.animation_data)]
    return min(starts, default=float(scene.frame_start))


def is_animated() -> bool:
    """Whether the model came with any movement, played or not."""
    return bool(bpy.data.actions or bpy.data.cache_files)


def _animated() -> Iterator[bpy.types.ID]:
    for kind in (bpy.data.objects, bpy.data.shape_keys, bpy.data.armatures, bpy.data.meshes, bpy.data.curves):
        yield from (thing for thing in kind if thing.animation_data)


def _starts(data: bpy.types.AnimData) -> Iterator[float]:
    if data.action:
        yield float(data.action.frame_range[0])
    for track in data.nla_tracks:
        if not track.mute:
            yield from (float(strip.frame_start) for strip in track.strips if not strip.mute)
