"""The images in use by the surfaces of a glTF file."""

from collections.abc import Iterator
from typing import Any

READ_EXTENSION = "EXT_texture_webp"
"""The texture extension of Blender's importer (io_scene_gltf2, `texture.py`)."""


def shown_images(document: dict[str, Any]) -> dict[int, str]:
    """Return the images in use by the materials of meshes, by number.

    The value is the extension of a texture when Blender can read no image of it, else empty. Raises
    KeyError, IndexError, TypeError or AttributeError for a document that is not as specified.
    """
    materials, textures = document.get("materials", []), document.get("textures", [])
    primitives = [one for mesh in document.get("meshes", []) for one in mesh["primitives"]]
    used = sorted({one["material"] for one in primitives if "material" in one})
    shown: dict[int, str] = {}
    for texture in {index for number in used for index in _textures(materials[number])}:
        extensions, image = textures[texture].get("extensions", {}), textures[texture].get("source")
        image = extensions.get(READ_EXTENSION, {}).get("source", image)
        if image is not None:
            shown[image] = ""
            continue
        for name, extension in extensions.items():
            if "source" in extension:
                shown.setdefault(extension["source"], name)
    return shown


def _textures(value: dict[str, Any]) -> Iterator[int]:
    """The numbers of the textures of a material, those in extensions too."""
    for name, inner in value.items():
        if not isinstance(inner, dict):
            continue
        if name.endswith("Texture") and "index" in inner:
            yield inner["index"]
        yield from _textures(inner)
