"""The images in use by the surfaces of a glTF file."""

from collections.abc import Iterator
from typing import Any

READ_EXTENSION = "EXT_texture_webp"
"""The texture extension of Blender's importer (io_scene_gltf2, `texture.py`)."""


def find_shown_images(document: dict[str, Any]) -> dict[int, str]:
    """Return the images in use by the materials of meshes, by number.

    The value is the extension of a texture when Blender can read no image of it, else empty. Raises
    KeyError, IndexError, TypeError or AttributeError for a document that is not as specified.
    """
    materials, textures = document.get("materials", []), document.get("textures", [])
    shown: dict[int, str] = {}
    for texture in {index for number in find_used_materials(document) for index in textures_of(materials[number])}:
        extensions, image = textures[texture].get("extensions", {}), textures[texture].get("source")
        image = extensions.get(READ_EXTENSION, {}).get("source", image)
        if image is not None:
            shown[image] = ""
            continue
        for name, extension in extensions.items():
            if "source" in extension:
                shown.setdefault(extension["source"], name)
    return shown


def find_used_materials(document: dict[str, Any]) -> list[int]:
    """Return the numbers of the materials of meshes, in order."""
    primitives = [primitive for mesh in document.get("meshes", []) for primitive in mesh["primitives"]]
    return sorted({primitive["material"] for primitive in primitives if "material" in primitive})


def textures_of(value: dict[str, Any]) -> Iterator[int]:
    """Yield the numbers of a material's textures, those in its extensions too."""
    for name, inner in value.items():
        if not isinstance(inner, dict):
            continue
        if name.endswith("Texture") and "index" in inner:
            yield inner["index"]
        yield from textures_of(inner)
