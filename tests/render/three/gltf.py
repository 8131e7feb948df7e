"""A small writer of binary glTF 2.0, with nothing between the file and its author."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Json = dict[str, Any]
COMPONENTS = {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123, "u4": 5125, "f4": 5126}
KINDS = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
NEAREST, LINEAR = 9728, 9729
CLAMP, MIRROR, REPEAT = 33071, 33648, 10497


class Gltf:
    """A document that grows: each method appends one thing and returns its index."""

    def __init__(self) -> None:
        self.json: Json = {"asset": {"version": "2.0"}}
        self.blob = bytearray()

    def add(self, key: str, value: Json) -> int:
        """Append `value` to the list `key`."""
        self.json.setdefault(key, []).append(value)
        return len(self.json[key]) - 1

    def require(self, extension: str) -> None:
        """Name an extension as required."""
        self.json["extensionsRequired"] = sorted({*self.json.get("extensionsRequired", ()), extension})

    def view(self, data: bytes, **fields: Any) -> int:
        """A buffer view of `data`, aligned to 4 bytes."""
        self.blob += bytes(-len(self.blob) % 4)
        start = len(self.blob)
        self.blob += data
        return self.add("bufferViews", {"buffer": 0, "byteOffset": start, "byteLength": len(data), **fields})

    def accessor(self, values: NDArray[Any], **fields: Any) -> int:
        """An accessor of (N,) or (N, C) values; rows are padded to 4 bytes as vertex attributes must be."""
        rows = values.reshape(len(values), -1)
        stride: Json = {}
        length = rows.itemsize * rows.shape[1]
        if values.ndim > 1 and length % 4:
            stride = {"byteStride": length + -length % 4}
            rows = np.pad(rows, ((0, 0), (0, (-length % 4) // rows.itemsize)))
        made = describe(values.reshape(len(values), -1)) | fields
        return self.add("accessors", made | {"bufferView": self.view(np.ascontiguousarray(rows).tobytes(), **stride)})

    def texture(self, picture: bytes, mime: str = "image/png", **sampler: int) -> int:
        """A texture of one picture; its texels are shown as squares unless `sampler` says otherwise."""
        image = self.add("images", {"mimeType": mime, "bufferView": self.view(picture)})
        chosen = {"magFilter": NEAREST, "minFilter": NEAREST, "wrapS": REPEAT, "wrapT": REPEAT} | sampler
        return self.add("textures", {"source": image, "sampler": self.add("samplers", chosen)})

    def mesh(self, attributes: dict[str, NDArray[Any] | int], indices: NDArray[Any] | None, **fields: Any) -> int:
        """A mesh of one primitive; an attribute is an array, or the index of an accessor."""
        held = {key: value if isinstance(value, int) else self.accessor(value) for key, value in attributes.items()}
        primitive: Json = {"attributes": held} | fields
        if indices is not None:
            primitive["indices"] = self.accessor(indices)
        return self.add("meshes", {"primitives": [primitive]})

    def node(self, **fields: Any) -> int:
        """A node at the root of the first scene."""
        number = self.add("nodes", fields)
        if not self.json.get("scenes"):
            self.json |= {"scenes": [{"nodes": []}], "scene": 0}
        self.json["scenes"][0]["nodes"].append(number)
        return number

    def glb(self) -> bytes:
        """The file."""
        blob = bytes(self.blob) + bytes(-len(self.blob) % 4)
        document = self.json | {"buffers": [{"byteLength": len(blob)}]}
        if used := sorted({*extensions(document), *self.json.get("extensionsRequired", ())}):
            document["extensionsUsed"] = used
        text = json.dumps(document).encode()
        text += b" " * (-len(text) % 4)
        chunks = len(text).to_bytes(4, "little") + b"JSON" + text + len(blob).to_bytes(4, "little") + b"BIN\0" + blob
        return b"glTF" + (2).to_bytes(4, "little") + (12 + len(chunks)).to_bytes(4, "little") + chunks


def extensions(value: Any) -> Iterator[str]:
    """The names of all extensions in a document."""
    if isinstance(value, dict):
        yield from value.get("extensions", ())
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from extensions(part)


def describe(rows: NDArray[Any]) -> Json:
    """The fields of an accessor of (N, C) values, but for where they are."""
    return {
        "componentType": COMPONENTS[rows.dtype.str[1:]],
        "count": len(rows),
        "type": KINDS[rows.shape[1]],
        "min": rows.min(axis=0).tolist(),
        "max": rows.max(axis=0).tolist(),
    }
