"""The one moment at which an animated or skinned model is seen."""

import importlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import bpy
from mathutils import Matrix

REST = "zero123_rest"
"""The property under which an object or shape key remembers how it was modelled."""


@contextmanager
def rest_remembered() -> Iterator[None]:
    """Have a glTF import note how everything was modelled, before its animations put it elsewhere."""
    importer = importlib.import_module("io_scene_gltf2.blender.imp.scene").BlenderScene
    create_animations = importer.create_animations

    def noted(gltf: Any) -> None:
        for thing in bpy.data.objects:
            thing[REST] = [value for row in thing.matrix_basis for value in row]
        for keys in bpy.data.shape_keys:
            keys[REST] = [block.value for block in keys.key_blocks]
        create_animations(gltf)

    importer.create_animations = staticmethod(noted)
    try:
        yield
    finally:
        importer.create_animations = staticmethod(create_animations)


def take_pose(scene: bpy.types.Scene, pose: str) -> None:
    """Put the model into its `rest` pose (skins as bound, nothing animated) or its `first_frame`."""
    if pose == "rest":
        for animated in list(_animated()):
            animated.animation_data_clear()
            _take_back(animated)
        for armature in bpy.data.armatures:
            armature.pose_position = "REST"
    frame = first_frame(scene)
    whole = math.floor(frame)
    scene.frame_set(whole, subframe=frame - whole)


def _take_back(thing: Any) -> None:
    """Put an object or shape key back to how it was modelled, where that was noted."""
    rest = list(thing.get(REST, ()))
    if rest and isinstance(thing, bpy.types.Object):
        thing.matrix_basis = Matrix([rest[start : start + 4] for start in range(0, 16, 4)])
    elif rest:
        for block, value in zip(thing.key_blocks, rest, strict=True):
            block.value = value


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
