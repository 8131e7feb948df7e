"""Reading a model into the scene, by the suffix of its file."""

from collections.abc import Callable
from pathlib import Path

import bpy

from render.blender.refusal import Refusal
from render.job import Outcome


def import_gltf(path: Path) -> None:
    """Read glTF 2.0, binary or text; its y-up becomes our z-up."""
    bpy.ops.import_scene.gltf(filepath=str(path), disable_bone_shape=True, import_shading="NORMALS")


IMPORTERS: dict[str, Callable[[Path], None]] = {".glb": import_gltf, ".gltf": import_gltf}


def import_model(path: Path) -> None:
    """Read the model at `path` into the current scene, at its first frame. Raises Refusal for what cannot be read."""
    importer = IMPORTERS.get(path.suffix)
    if importer is None:
        expected = ", ".join(sorted(IMPORTERS))
        raise Refusal(Outcome.UNSUPPORTED, f"expected a model of {expected}, got {path.suffix or 'no suffix'}")
    importer(path)
    scene = bpy.context.scene
    scene.frame_set(scene.frame_start)
