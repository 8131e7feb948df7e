"""Check the JSON of a glTF 2.0 file, and find the files it needs.

Checked are positions of data, required extensions and the tree of nodes: errors in them could harm or mislead.
"""

from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote, unquote

import numpy as np

from base.outcomes import Outcome
from render.formats.gltf_data import Blob
from render.formats.gltf_links import check_links
from render.formats.gltf_pictures import find_shown_images
from render.formats.model_files import ModelFiles
from render.formats.refused import Refused, corrupt, unsupported
from render.formats.surroundings import Surroundings, is_absolute
from render.references import use_slashes

UNDERSTOOD = frozenset(
    {
        "EXT_mesh_gpu_instancing",
        "EXT_texture_webp",
        "KHR_animation_pointer",
        "KHR_draco_mesh_compression",
        "KHR_lights_punctual",
        "KHR_materials_anisotropy",
        "KHR_materials_clearcoat",
        "KHR_materials_emissive_strength",
        "KHR_materials_ior",
        "KHR_materials_pbrSpecularGlossiness",
        "KHR_materials_sheen",
        "KHR_materials_specular",
        "KHR_materials_transmission",
        "KHR_materials_unlit",
        "KHR_materials_variants",
        "KHR_materials_volume",
        "KHR_mesh_quantization",
        "KHR_node_visibility",
        "KHR_texture_transform",
    }
)
"""What Blender 4.5's importer understands (io_scene_gltf2, `extensions_managed`), and we: KHR_node_visibility."""

COMPONENT_BYTES = {5120: 1, 5121: 1, 5122: 2, 5123: 2, 5125: 4, 5126: 4}
INDICES = {5121: "<u1", 5123: "<u2", 5125: "<u4"}
STRIPS = {2, 3, 5, 6}
"""Modes with primitive restart: the largest index begins a new strip, loop or fan; Blender ignores this."""
COMPONENTS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
MAX_INDICES = 1 << 28
MAX_DEPTH = 10_000
"""Nodes below each other; Blender follows them by recursion."""

MAX_IMPLICIT = 1 << 24
"""Elements of an accessor without bytes of its own: zeros, or compressed data."""


class Document:
    """A parsed glTF file among other files; `blob` is the binary chunk, None without one."""

    def __init__(self, json: dict[str, Any], around: Surroundings, blob: Blob | None) -> None:
        self._json = json
        self._around = around
        self._blob = blob
        self._is_changed = False

    def files(self) -> tuple[ModelFiles, bool]:
        """Find the other files needed, and say whether names in the JSON were changed to those of the files found.

        Raises Refused for what must not reach Blender.
        """
        try:
            # First: another version may mean another structure.
            self._check_versions()
            names: dict[str, None] = {}
            buffers = [self._buffer(number, names) for number in range(len(self._list("buffers")))]
            self._check_views(buffers)
            check_links(self._json)
            self._check_accessors()
            self._check_indices(buffers)
            self._check_nodes()
            missing = self._missing_pictures(names)
        except (TypeError, AttributeError, KeyError, IndexError, ValueError) as error:
            raise corrupt(f"expected glTF 2.0 as specified, got a structure that is not: {error}") from None
        return ModelFiles(files={name: self._around.path(name) for name in sorted(names)}, missing=missing), (
            self._is_changed
        )

    def _check_versions(self) -> None:
        version = str(self._json["asset"]["version"])
        if version != "2.0":
            raise unsupported(f"expected glTF version 2.0, got {version[:20]}")
        unknown = sorted(str(name)[:80] for name in set(self._list("extensionsRequired")) - UNDERSTOOD)
        if unknown:
            raise unsupported(f"expected a model that Blender understands, got a model requiring {', '.join(unknown)}")

    def _buffer(self, number: int, names: dict[str, None]) -> Blob | None:
        """The data of a buffer, its file added to `names`; None for a buffer that only compressed data would fill."""
        buffer = self._list("buffers")[number]
        declared, uri = _count(buffer["byteLength"]), buffer.get("uri")
        name = None
        if uri is None:
            held = self._blob if number == 0 else None
        elif uri.startswith("data:"):
            held = Blob.of_text(uri)
        else:
            name = self._found(buffer, picture=False)
            file = self._around.path(name) if name is not None else None
            held = Blob(file.stat().st_size, file) if file is not None else None
        if held is None:
            if "extensions" in buffer:
                return None
            raise corrupt(f"expected the data of buffer {number}, got nothing{f' at {uri[:80]}' if uri else ''}")
        if held.length < declared:
            raise corrupt(f"expected {declared} bytes in buffer {number}, got {held.length}")
        if name is not None:
            names[PurePosixPath(name).as_posix()] = None
        return held

    def _found(self, entry: dict[str, Any], *, picture: bool) -> str | None:
        """Return the file of a buffer's or image's `uri`, and write its name in the entry as Blender reads names."""
        plain = unquote(entry["uri"])
        found = self._around.require(plain, picture=picture)
        if found is None and (raw := self._around.find(entry["uri"], picture=picture)) is not None:
            found, plain = raw, ""
        if found is None and is_absolute(use_slashes(plain)):
            raise unsupported(f"expected files beside the model, got the absolute path {plain[:80]!r}")
        if found is not None and found != plain:
            # Blender unquotes the name once, so it must be quoted once.
            entry["uri"] = quote(found)
            self._is_changed = True
        return found

    def _missing_pictures(self, names: dict[str, None]) -> tuple[str, ...]:
        """Return the missing pictures of shown materials, and add the existing pictures to `names`."""
        images, missing = self._list("images"), dict[str, None]()
        shown = find_shown_images(self._json)
        for number, image in enumerate(images):
            uri = image.get("uri")
            if uri is None or uri.startswith("data:"):
                continue
            if (found := self._found(image, picture=True)) is not None:
                names[found] = None
            elif number in shown:
                missing[unquote(uri)] = None
        for number, extension in shown.items():
            if extension:
                name = images[number].get("name") or images[number].get("uri") or f"image {number}"
                missing[f"{str(name)[:80]} ({extension})"] = None
        return tuple(missing)

    def _check_views(self, blobs: list[Blob | None]) -> None:
        buffers = self._list("buffers")
        for number, view in enumerate(self._list("bufferViews")):
            if blobs[_count(view["buffer"])] is None:
                names = {**buffers[view["buffer"]].get("extensions", {}), **view.get("extensions", {})}
                raise unsupported(f"expected data that Blender understands, got data compressed by {', '.join(names)}")
            end = _count(view.get("byteOffset", 0)) + _count(view["byteLength"])
            held = _count(buffers[_count(view["buffer"])]["byteLength"])
            if end > held:
                raise corrupt(f"expected buffer view {number} to end by byte {held}, got {end}")

    def _check_accessors(self) -> None:
        views = self._list("bufferViews")
        for number, accessor in enumerate(self._list("accessors")):
            count = _count(accessor["count"])
            if "bufferView" not in accessor:
                if count > MAX_IMPLICIT:
                    raise corrupt(f"expected at most {MAX_IMPLICIT} elements in accessor {number}, got {count}")
                continue
            view = views[_count(accessor["bufferView"])]
            element = COMPONENT_BYTES[accessor["componentType"]] * COMPONENTS[accessor["type"]]
            stride = _count(view.get("byteStride", 0)) or element
            # The last element needs no stride behind it.
            end = _count(accessor.get("byteOffset", 0)) + max(count - 1, 0) * stride + element * min(count, 1)
            if end > view["byteLength"]:
                raise corrupt(f"expected accessor {number} inside {view['byteLength']} bytes, got {end}")

    def _check_indices(self, buffers: list[Blob | None]) -> None:
        """Check that every face has existing vertices. Compressed data is left to its decoder."""
        accessors, highest, read = self._list("accessors"), dict[int, int](), 0
        for number, mesh in enumerate(self._list("meshes")):
            for primitive in mesh["primitives"]:
                places, indices = primitive["attributes"].get("POSITION"), primitive.get("indices")
                if places is not None and (kind := accessors[_count(places)]["type"]) != "VEC3":
                    raise corrupt(f"expected positions of type VEC3 in mesh {number}, got {kind}")
                if places is None or indices is None or "KHR_draco_mesh_compression" in primitive.get("extensions", {}):
                    continue
                if _count(indices) not in highest:
                    read += _count(accessors[indices]["count"])
                    if read > MAX_INDICES:  # each is inside the file, but many may overlap
                        raise Refused(Outcome.TOO_LARGE, f"expected at most {MAX_INDICES} indices in all, got more")
                    highest[indices] = self._highest(accessors[indices], buffers)
                vertices = _count(accessors[places]["count"])
                if primitive.get("mode", 4) in STRIPS:
                    # The largest index of a type restarts a strip and is no vertex.
                    vertices = min(vertices, np.iinfo(INDICES[accessors[indices]["componentType"]]).max)
                if highest[indices] >= vertices:
                    raise corrupt(f"expected indices below {vertices} in mesh {number}, got {highest[indices]}")

    def _highest(self, accessor: dict[str, Any], buffers: list[Blob | None]) -> int:
        """The largest index in an accessor."""
        dtype = INDICES[accessor["componentType"]]
        if "bufferView" not in accessor:
            return 0
        view = self._list("bufferViews")[_count(accessor["bufferView"])]
        blob = buffers[_count(view["buffer"])]
        stride = view.get("byteStride", 0) or np.dtype(dtype).itemsize
        if stride != np.dtype(dtype).itemsize or accessor["type"] != "SCALAR":
            raise corrupt("expected consecutive indices, got gaps between them")
        if blob is None:
            return 0
        start = _count(view.get("byteOffset", 0)) + _count(accessor.get("byteOffset", 0))
        return blob.highest(start, _count(accessor["count"]), dtype)

    def _check_nodes(self) -> None:
        """Check that each node has at most one parent and is not its own descendant."""
        nodes = self._list("nodes")
        parent: dict[int, int] = {}
        for number, node in enumerate(nodes):
            for child in node.get("children", ()):
                if parent.setdefault(_count(child), number) != number:
                    raise corrupt(f"expected node {child} to have a single parent, got two")
                if child >= len(nodes):
                    raise corrupt(f"expected {len(nodes)} nodes, got a child numbered {child}")
        if (below := _below_itself(parent)) is not None:
            raise corrupt(f"expected a tree of nodes, got node {below} below itself")
        if (depth := _depth(parent)) > MAX_DEPTH:
            raise unsupported(f"expected nodes at most {MAX_DEPTH} deep, got {depth}")

    def _list(self, key: str) -> list[Any]:
        value = self._json.get(key, [])
        if not isinstance(value, list):
            raise corrupt(f"expected {key} to be a list, got {type(value).__name__}")
        return value


def _below_itself(parent: dict[int, int]) -> int | None:
    """Find a node that is its own ancestor, visiting each edge once; None in a forest."""
    walk_of: dict[int, int] = {}
    for start in parent:
        node = start
        while node in parent and node not in walk_of:
            walk_of[node] = start
            node = parent[node]
        if walk_of.get(node) == start:
            return node
    return None


def _depth(parent: dict[int, int]) -> int:
    """The most nodes on a way up in a forest, each node looked at once."""
    depth_of: dict[int, int] = {}
    for start in parent:
        path, node = list[int](), start
        while node in parent and node not in depth_of:
            path.append(node)
            node = parent[node]
        depth = depth_of.setdefault(node, 1)
        for node in reversed(path):
            depth += 1
            depth_of[node] = depth
    return max(depth_of.values(), default=1)


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise corrupt(f"expected a whole number of 0 or more, got {str(value)[:40]}")
    return value
