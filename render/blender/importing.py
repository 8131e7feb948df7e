"""Import a model into the scene, by the suffix of its file."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import bpy

from render.blender.blend import append_objects, flatten
from render.blender.corners import turn_opposite_normals
from render.blender.far import move_near
from render.blender.georeference import ORIGIN
from render.blender.gltf import import_only_shown_nodes
from render.blender.masks import keep_hidden_colours, use_grey_masks
from render.blender.materials import assign_materials, scale_byte_colours
from render.blender.pictures import link_pictures, take_out_missing
from render.blender.points import show_points_as_balls
from render.blender.pose import remember_rest_pose, take_fuller_frame, take_pose
from render.blender.refusal import Refusal
from render.job import Outcome, RenderJob, missing_sentence

Settings = dict[str, Any]


def import_gltf(path: Path, settings: Settings) -> None:
    """Read glTF 2.0, binary or text; its y-up becomes our z-up."""
    with remember_rest_pose(), import_only_shown_nodes() if settings["importer_quirks"] == "mended" else nullcontext():
        bpy.ops.import_scene.gltf(
            filepath=str(path),
            disable_bone_shape=True,
            import_shading="NORMALS",
            merge_vertices=settings["merge_vertices"],
        )


def import_obj(path: Path, settings: Settings, *, z_up: bool = False) -> None:
    """Read Wavefront OBJ, which is y-up by custom, and z-up in some data sets.

    Blender's validation would drop the second of two faces with the same corners, and with it the back of a wall.
    """
    is_validated = settings["coincident_faces"] == "kept"
    forward, up = ("Y", "Z") if z_up else ("NEGATIVE_Z", "Y")
    bpy.ops.wm.obj_import(filepath=str(path), forward_axis=forward, up_axis=up, validate_meshes=is_validated)


def import_ply(path: Path, _settings: Settings) -> None:
    """Read PLY, which is z-up by custom, with the colours of its vertices."""
    bpy.ops.wm.ply_import(filepath=str(path), forward_axis="Y", up_axis="Z", import_colors="SRGB", merge_verts=False)


def import_stl(path: Path, _settings: Settings) -> None:
    """Read STL, which is z-up by custom."""
    bpy.ops.wm.stl_import(filepath=str(path), forward_axis="Y", up_axis="Z", use_mesh_validate=True)


def import_fbx(path: Path, _settings: Settings) -> None:
    """Read binary FBX; the axes it states become ours, and what it hides is not drawn."""
    bpy.ops.import_scene.fbx(
        filepath=str(path), use_image_search=True, use_custom_props=False, use_anim=True, colors_type="SRGB"
    )
    for thing in bpy.data.objects:
        # Blender's importer applies FBX visibility to the viewport alone.
        thing.hide_render = thing.hide_viewport


def import_usd(path: Path, _settings: Settings) -> None:
    """Read USD in any of its forms; its up axis becomes our z."""
    bpy.ops.wm.usd_import(
        filepath=str(path),
        import_cameras=False,
        # Cameras and lights of a file are never used; our own are added later.
        import_lights=False,
        import_volumes=False,
        create_world_material=False,
        import_visible_only=True,
        import_subdiv=False,
        import_guide=False,
        import_proxy=False,
        set_frame_range=True,
        support_scene_instancing=True,
        import_textures_mode="IMPORT_PACK",
        validate_meshes=True,
    )


def import_blend(path: Path, _settings: Settings) -> None:
    """Read the objects of a Blender file, which is z-up like us."""
    append_objects(path)


IMPORTERS: dict[str, Callable[[Path, Settings], None]] = {
    ".glb": import_gltf,
    ".gltf": import_gltf,
    ".blend": import_blend,
    ".fbx": import_fbx,
    ".obj": import_obj,
    ".ply": import_ply,
    ".stl": import_stl,
    **dict.fromkeys((".usd", ".usda", ".usdc", ".usdz"), import_usd),
}
GLTF = {".glb", ".gltf"}
TEXTS = {".obj", ".ply", ".stl"}
"""Formats with more digits than Blender keeps."""
STRAIGHT_ALPHA = {".obj", ".fbx", ".usd", ".usda", ".usdc", ".usdz"}
"""Formats with texture colours independent of alpha. Their importers do not tell Blender."""

COLOURS_COUNT = {".obj", ".fbx"}
"""Formats with materials silent about vertex colours: the colours apply to anything without a texture."""


def _move_near(path: Path, *, z_up: bool) -> None:
    """Move a far model's copy near the origin, and remember where that was, in Blender's axes."""
    x, y, z = move_near(path).tolist()
    bpy.context.scene[ORIGIN] = [x, -z, y] if path.suffix == ".obj" and not z_up else [x, y, z]


def _importer(job: RenderJob) -> Callable[[Path, Settings], None]:
    suffix = Path(job.file).suffix
    if suffix not in IMPORTERS:
        expected = ", ".join(sorted(IMPORTERS))
        raise Refusal(Outcome.UNSUPPORTED, f"expected a model of {expected}, got {suffix or 'no suffix'}")
    return partial(import_obj, z_up=job.z_up) if suffix == ".obj" else IMPORTERS[suffix]


class Imported(NamedTuple):
    """The result of an import: the names of missing pictures, and whether a frame other than the first is shown."""

    missing: list[str]
    other_frame: bool


def import_model(job: RenderJob) -> Imported:
    """Read the model of a job into the current scene, in its pose, with something to see on every face.

    Raises Refusal for a model that cannot be read, and for missing
    pictures when the settings leave out such models.
    """
    path, settings = Path(job.file), job.settings
    is_mended, is_gltf = settings["importer_quirks"] == "mended", path.suffix in GLTF
    importer = _importer(job)
    if is_mended and path.suffix in TEXTS:
        _move_near(path, z_up=job.z_up)
    importer(path, settings)
    # Before missing pictures are taken out: importers look for files in fewer places than we do.
    link_pictures(path.parent, Path(job.root), job.pictures)
    missing = take_out_missing(Path(job.root))
    if is_mended and path.suffix in STRAIGHT_ALPHA:
        keep_hidden_colours()
    if is_mended and path.suffix == ".obj":
        use_grey_masks()
    if missing and settings["missing_pictures"] == "leave_out":
        raise Refusal(Outcome.MISSING_PICTURES, missing_sentence(missing), missing)
    # Before shapes are flattened and measured, because the pose moves them.
    take_pose(bpy.context.scene, settings["pose"])
    other_frame = is_mended and settings["pose"] == "first_frame" and take_fuller_frame(bpy.context.scene)
    if path.suffix == ".blend":
        flatten(bpy.context.scene)
    if is_mended:
        scale_byte_colours()
        turn_opposite_normals()
    is_culled = is_gltf and settings["backfaces"] == "culled"
    assign_materials(settings["neutral"], over_materials=path.suffix in COLOURS_COUNT, single_sided=is_culled)
    if not is_culled:
        for material in bpy.data.materials:
            material.use_backface_culling = False
    show_points_as_balls(named_colours=is_mended)
    return Imported(missing, other_frame)
