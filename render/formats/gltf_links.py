"""The numbers by which the parts of a glTF document name each other."""

from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple

from render.formats.gltf_pictures import READ_EXTENSION, find_used_materials, textures_of
from render.formats.refused import corrupt

JSON = dict[str, Any]


class Link(NamedTuple):
    """A number in `owner`, the position of an entry in the list `target`, which has `length` entries."""

    owner: str
    number: Any
    target: str
    length: int


def check_links(document: JSON) -> None:
    """Raise Refused if a part in use names an entry that does not exist.

    Blender would end with a bare IndexError, or take the last entry for the number −1. Materials, textures and images
    that no mesh uses may name anything: neither Blender nor viewers read them.
    """
    for link in chain(_of_nodes(document), _of_meshes(document), _of_materials(document), _of_animations(document)):
        # To Python, true is 1.
        is_number = isinstance(link.number, int) and not isinstance(link.number, bool)
        if not is_number or not 0 <= link.number < link.length:
            got = str(link.number)[:40]
            raise corrupt(f"expected {link.owner} to name one of {link.length} {link.target}, got {got}")


def _of_nodes(document: JSON) -> Iterator[Link]:
    def link(owner: str, number: Any, target: str) -> Link:
        return Link(owner, number, target, len(document.get(target, [])))

    if "scene" in document:
        yield link("the file's scene", document["scene"], "scenes")
    for number, scene in enumerate(document.get("scenes", [])):
        yield from (link(f"scene {number}", node, "nodes") for node in scene.get("nodes", []))
    for number, node in enumerate(document.get("nodes", [])):
        for key, target in (("mesh", "meshes"), ("skin", "skins"), ("camera", "cameras")):
            if key in node:
                yield link(f"node {number}", node[key], target)
    for number, skin in enumerate(document.get("skins", [])):
        yield from (link(f"skin {number}", joint, "nodes") for joint in skin["joints"])
        if "inverseBindMatrices" in skin:
            yield link(f"skin {number}", skin["inverseBindMatrices"], "accessors")


def _of_meshes(document: JSON) -> Iterator[Link]:
    accessors, materials = len(document.get("accessors", [])), len(document.get("materials", []))
    for number, mesh in enumerate(document.get("meshes", [])):
        owner = f"mesh {number}"
        for primitive in mesh["primitives"]:
            data = [*primitive["attributes"].values()]
            data += [value for target in primitive.get("targets", []) for value in target.values()]
            data += [primitive["indices"]] if "indices" in primitive else []
            yield from (Link(owner, value, "accessors", accessors) for value in data)
            if "material" in primitive:
                yield Link(owner, primitive["material"], "materials", materials)


def _of_materials(document: JSON) -> Iterator[Link]:
    materials, textures = document.get("materials", []), document.get("textures", [])
    images, views = document.get("images", []), len(document.get("bufferViews", []))
    for number in find_used_materials(document):
        for texture in textures_of(materials[number]):
            yield Link(f"material {number}", texture, "textures", len(textures))
            entry = textures[texture]  # exists: the caller stops at the link above otherwise
            if "sampler" in entry:
                yield Link(f"texture {texture}", entry["sampler"], "samplers", len(document.get("samplers", [])))
            image = entry.get("extensions", {}).get(READ_EXTENSION, {}).get("source", entry.get("source"))
            if image is None:
                continue
            yield Link(f"texture {texture}", image, "images", len(images))
            if "bufferView" in images[image]:
                yield Link(f"image {image}", images[image]["bufferView"], "buffer views", views)


def _of_animations(document: JSON) -> Iterator[Link]:
    accessors, nodes = len(document.get("accessors", [])), len(document.get("nodes", []))
    for number, animation in enumerate(document.get("animations", [])):
        owner, samplers = f"animation {number}", animation["samplers"]
        for sampler in samplers:
            yield from (Link(owner, sampler[key], "accessors", accessors) for key in ("input", "output"))
        for channel in animation["channels"]:
            yield Link(owner, channel["sampler"], "samplers", len(samplers))
            if "node" in channel["target"]:
                yield Link(owner, channel["target"]["node"], "nodes", nodes)
