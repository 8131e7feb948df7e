"""The pictures of an imported model: link them to the files of the private copy, and remove missing pictures."""

import posixpath
from collections.abc import Mapping
from pathlib import Path

import bpy

from render.blender.truncated import is_cut_short
from render.job import NAMELESS_PICTURE
from render.references import TILES, file_name, picture_key

FILES = {"FILE", "TILED", "SEQUENCE", "MOVIE"}
"""Kinds of images that come from outside."""

ORM = (1.0, 0.6, 0.0, 1.0)
"""Replaces a picture of occlusion, roughness and metal: rough, and no metal."""

MAX_NAMED, MAX_LETTERS = 64, 80


def link_pictures(home: Path, root: Path, pictures: Mapping[str, str]) -> None:
    """Make each image without a file in `root` show the picture of the same path or name in `pictures`.

    `pictures` are by their path as `picture_key` writes it; the values are relative to `home`.
    """
    for image in bpy.data.images:
        # A picture in the model itself needs no file, whatever path it names.
        if image.source not in FILES or image.packed_file or _is_readable(image, root):
            continue
        path = bpy.path.abspath(image.filepath).replace("\\", "/").removeprefix(f"{home}/")
        found = pictures.get(picture_key(path)) or pictures.get(file_name(path))
        if found is not None:
            image.filepath = posixpath.normpath(f"{home}/{found}")
            # Blender keeps a failed load until it is asked again.
            image.reload()


def take_out_missing(root: Path) -> list[str]:
    """Remove every picture outside `root`, unreadable or cut short, and name the visible pictures among them.

    Blender would paint their faces in glaring magenta.
    """
    missing = []
    # Sorted: the names end up in a record with reproducible bytes.
    for image in sorted(bpy.data.images, key=lambda image: image.name):
        if image.source not in FILES:
            continue
        if not image.packed_file and not _is_readable(image, root):
            why = "missing"
        elif not image.size[0]:
            why = "not readable"
        elif is_cut_short(_bytes_of(image)):
            why = "cut short"
        else:
            continue
        name = posixpath.basename(image.filepath.replace("\\", "/")) or image.name
        if _take_out(image):
            missing.append(f"{name[:MAX_LETTERS]} ({why})")
        bpy.data.images.remove(image)
    # Importers may leave a node without a picture when they do not find the file.
    if _take_out(None):
        missing.append(NAMELESS_PICTURE)
    return missing[:MAX_NAMED]


def _bytes_of(image: bpy.types.Image) -> bytes:
    """The file of an image, packed or on disk; of several tiles the first."""
    if image.packed_file:
        return bytes(image.packed_file.data)
    path = _file_of(image)
    return path.read_bytes() if path.is_file() else b""


def _is_readable(image: bpy.types.Image, root: Path) -> bool:
    """True for a file, or the first tile of a picture, below `root`."""
    if image.source not in {"FILE", "TILED"}:
        return False
    path = _file_of(image).resolve()
    return path.is_relative_to(root.resolve()) and path.is_file()


def _file_of(image: bpy.types.Image) -> Path:
    """The file of a picture, or of its first tile."""
    name = bpy.path.abspath(image.filepath).replace("\\", "/")
    tile = str(image.tiles[0].number) if image.source == "TILED" and image.tiles else "1001"
    return Path(name.replace(TILES, tile))


def _take_out(image: bpy.types.Image | None) -> bool:
    """Remove all nodes of `image`, or for None all nodes without an image; True when a removed picture was visible."""
    trees = [material.node_tree for material in bpy.data.materials if material.node_tree]
    nodes = [(tree, node) for tree in [*trees, *bpy.data.node_groups] for node in tree.nodes]
    meant = [
        (tree, node) for tree, node in nodes if node.type.startswith("TEX_") and getattr(node, "image", 0) == image
    ]
    seen = False
    for tree, node in meant:
        # Before the node goes, because its links go with it.
        fed = [link.to_socket for output in node.outputs for link in output.links]
        seen = seen or (bool(fed) and _is_in_use(tree))
        tree.nodes.remove(node)
        for socket in fed:
            if socket.node.type == "SEPARATE_COLOR":
                socket.default_value = ORM
    return seen


def _is_in_use(tree: bpy.types.NodeTree) -> bool:
    """True for the nodes of a material that an object has; nodes in groups count as used."""
    materials = [material for material in bpy.data.materials if material.node_tree == tree]
    slots = (slot.material for thing in bpy.data.objects for slot in thing.material_slots)
    return not materials or any(material in materials for material in slots)
