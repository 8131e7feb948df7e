"""Choose the frame in which an animated or skinned model is rendered."""

import importlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import bpy
from mathutils import Matrix

from render.blender.triangles import are_flat, drawn_triangles, total_area

REST = "zero123_rest"
"""The property under which an object or shape key remembers how it was modelled."""


TRIED = 8
"""How many further frames are looked at when the first one does not show all."""
FULL = 0.99
"""A frame with this share of the fullest frame's content is as good."""


@contextmanager
def remember_rest_pose() -> Iterator[None]:
    """Have a glTF import note how everything was modelled, before its animations put it elsewhere."""
    importer = importlib.import_module("io_scene_gltf2.blender.imp.scene").BlenderScene
    create_animations = importer.create_animations

    def noted(gltf: Any) -> None:
        for thing in bpy.data.objects:
            thing[REST] = [value for row in thing.matrix_basis for value in row]
        for keys in bpy.data.shape_keys:
            keys[REST] = [block.value for block in keys.key_blocks]
        create_animations(gltf)

    # The last moment before the importer sets the first frame of an animation.
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
    _go_to(scene, first_frame(scene))


def take_fuller_frame(scene: bpy.types.Scene) -> bool:
    """Replace a first frame with vanished parts by the earliest of the fullest frames.

    TRIED frames are compared, and the rest pose if all of them are empty. Returns True if another frame was taken.
    """
    ends = [end for animated in _animated() for end in _ends(animated.animation_data)]
    first, shown = float(scene.frame_current_final), _shown()
    if not ends or all(piece.drawn == piece.faces for piece in shown.values()):
        return False
    frames = [first + (max(ends) - first) * step / TRIED for step in range(TRIED + 1)]
    found = [shown, *(_shown_at(scene, frame) for frame in frames[1:])]
    is_fuller = any(
        piece.drawn > shown[name].drawn for later in found for name, piece in later.items() if name in shown
    )
    is_empty = not any(piece.drawn for later in found for piece in later.values())
    if is_empty:
        take_pose(scene, "rest")
        return any(piece.drawn for piece in _shown().values())
    fullness = [_fullness(one, found) for one in found]
    best = next(number for number, value in enumerate(fullness) if value >= FULL * max(fullness)) if is_fuller else 0
    _go_to(scene, frames[best])
    return best > 0


class _Piece(NamedTuple):
    """The area of a mesh where it is drawn, its faces that are more than a line there, and all its faces."""

    area: float
    drawn: int
    faces: int


def _shown_at(scene: bpy.types.Scene, frame: float) -> dict[str, _Piece]:
    _go_to(scene, frame)
    return _shown()


def _shown() -> dict[str, _Piece]:
    """What is drawn of each mesh now; copies of an object count together."""
    pieces: dict[str, _Piece] = {}
    for name, corners in drawn_triangles():
        area, drawn, faces = pieces.get(name, _Piece(0.0, 0, 0))
        wide = corners[~are_flat(corners)]
        pieces[name] = _Piece(area + total_area(wide), drawn + len(wide), faces + len(corners))
    return pieces


def _fullness(shown: dict[str, _Piece], found: list[dict[str, _Piece]]) -> float:
    """How large the pieces are, each as a share of the largest that it becomes in `found`."""
    largest = {name: max(one[name].area for one in found if name in one) for name in shown}
    return sum(piece.area / largest[name] for name, piece in shown.items() if largest[name] > 0.0)


def _go_to(scene: bpy.types.Scene, frame: float) -> None:
    whole = math.floor(frame)
    # Animations may start between frames, and `frame_set` takes whole frames alone.
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
    """Return the earliest frame of any active animation; without animation, the scene's own start."""
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


def _ends(data: bpy.types.AnimData) -> Iterator[float]:
    if data.action:
        yield float(data.action.frame_range[1])
    for track in data.nla_tracks:
        if not track.mute:
            yield from (float(strip.frame_end) for strip in track.strips if not strip.mute)
