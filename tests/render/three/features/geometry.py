"""Points and faces in each encoding that glTF has for them."""

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.render.three.feature import HALF, Feature, matte
from tests.render.three.gltf import Gltf
from tests.render.three.shapes import Shape, box, encoded, picture

QUANTISED = "KHR_mesh_quantization"
DRACO = "KHR_draco_mesh_compression"
PACKED = (
    "RFJBQ08CAgEBAAAAGAwCDAAABd/3fd8H/wJmQP8CZkD/AmZAA/8AAAAAAAEAAAEACQMAAAIBAQkDAAEDAQMJAgACAgEBAQAPA1UVVQUnARBZFQii"
    "xFEFtBpNhQAAADAzB4DNDAAEAAAAAM0sADYzAAgAwGYGAAEAADAzAwAAAM0MAMCZAUAAAADQzAAAADAzIwDAZjYzAwDODAAgAACc2cwMADYzAAAA"
    "AAAA/z8AAAAAAL/NzMy+mpmZvgAAgD8OAAMBAAsDATAbAQgBCAYACMuXbYAA/gP+AwD8ByDgPwDAfwDA//8A/wMAAP8BAAAKAQEBAQIDASBVCa0W"
    "C4w75fjrdlMLllCGAAAAAP8PAAAAAAAAAAAAAAAAgD8M"
)
"""`box()` in Draco, by Blender's exporter."""


def _drawn(
    gltf: Gltf, shape: Shape, attributes: dict[str, Any] | None = None, indices: NDArray[Any] | None = None, **node: Any
) -> Gltf:
    """`gltf` with a textured box; some attributes, or the indices, in another form."""
    material = gltf.add("materials", matte({"baseColorTexture": {"index": gltf.texture(encoded(picture()))}}))
    chosen = shape.indices if indices is None else indices
    mesh = gltf.mesh(shape.attributes() | (attributes or {}), chosen if len(chosen) else None, material=material)
    gltf.node(mesh=mesh, **node)
    return gltf


def _indexed(dtype: str) -> Feature:
    return Feature(write=lambda: _drawn(Gltf(), box(), indices=box().indices.astype(dtype)))


def _without_indices() -> Gltf:
    shape = box()
    flat = Shape(*(values[shape.indices] for values in shape[:3]), shape.indices[:0])
    return _drawn(Gltf(), flat)


def _as_mode(mode: int, order: list[int]) -> Gltf:
    """A box of which each face is a primitive of its own, drawn in this order of its corners."""
    gltf, shape = Gltf(), box()
    _drawn(gltf, shape)
    (whole,) = gltf.json["meshes"][0]["primitives"]
    gltf.json["meshes"][0]["primitives"] = [
        whole | {"mode": mode, "indices": gltf.accessor((4 * face + np.array(order)).astype(np.uint16))}
        for face in range(6)
    ]
    return gltf


def _sparse(*, based: bool) -> Gltf:
    """A box with some of its positions in a sparse accessor, over others or over zeros."""
    gltf, shape = Gltf(), box()
    changed = np.arange(0, 24, 2, dtype=np.uint16) if based else np.arange(24, dtype=np.uint16)
    start = shape.position.copy()
    start[changed] = 0.0
    sparse = {
        "count": len(changed),
        "indices": {"bufferView": gltf.view(changed.tobytes()), "componentType": 5123},
        "values": {"bufferView": gltf.view(shape.position[changed].tobytes())},
    }
    position = gltf.accessor(start)
    accessor = gltf.json["accessors"][position]
    accessor |= {"sparse": sparse, "min": [-half for half in HALF], "max": list(HALF)}
    if not based:
        del accessor["bufferView"]
    return _drawn(gltf, shape, {"POSITION": position})


def _interleaved() -> Gltf:
    gltf, shape = Gltf(), box()
    rows = np.concatenate([shape.position, shape.normal, shape.uv], axis=1).astype(np.float32)
    view = gltf.view(rows.tobytes(), byteStride=32)
    held = {}
    for name, start, values in (
        ("POSITION", 0, shape.position),
        ("NORMAL", 12, shape.normal),
        ("TEXCOORD_0", 24, shape.uv),
    ):
        held[name] = gltf.accessor(values)
        gltf.json["accessors"][held[name]] |= {"bufferView": view, "byteOffset": start}
    return _drawn(gltf, shape, held)


def _quantised(dtype: str, *, normalized: bool) -> Gltf:
    """Positions in whole numbers, made true by the node's scale."""
    gltf, shape = Gltf(), box()
    gltf.require(QUANTISED)
    highest = np.iinfo(dtype).max
    unit = shape.position / 0.5
    position = gltf.accessor(np.round(unit * highest).astype(dtype), normalized=normalized)
    normal = gltf.accessor((shape.normal * 127).astype(np.int8), normalized=True)
    scale = 0.5 if normalized else 0.5 / highest
    return _drawn(gltf, shape, {"POSITION": position, "NORMAL": normal}, scale=[scale] * 3)


def _unsigned() -> Gltf:
    """Positions from a corner, as gltfpack writes them, with the node's translation."""
    gltf, shape = Gltf(), box()
    gltf.require(QUANTISED)
    corner = shape.position + np.array(HALF, np.float32)
    position = gltf.accessor(np.round(corner * 60000).astype(np.uint16))
    return _drawn(gltf, shape, {"POSITION": position}, scale=[1 / 60000] * 3, translation=[-half for half in HALF])


def _quantised_uv() -> Gltf:
    """Texture coordinates in whole numbers, made true by the texture's transform."""
    gltf, shape = Gltf(), box()
    gltf.require(QUANTISED)
    _drawn(gltf, shape, {"TEXCOORD_0": gltf.accessor(np.round(shape.uv * 4095).astype(np.uint16))})
    info = gltf.json["materials"][0]["pbrMetallicRoughness"]["baseColorTexture"]
    info["extensions"] = {"KHR_texture_transform": {"scale": [1 / 4095, 1 / 4095]}}
    return gltf


def _sparse_coordinates() -> Gltf:
    """Every fourth corner's coordinates of the picture in a sparse accessor, with indices of one byte."""
    gltf, shape = Gltf(), box()
    changed = np.arange(0, 24, 4, dtype=np.uint8)
    start = shape.uv.copy()
    start[changed] = 0.5
    held = gltf.accessor(start)
    gltf.json["accessors"][held]["sparse"] = {
        "count": len(changed),
        "indices": {"bufferView": gltf.view(changed.tobytes()), "componentType": 5121},
        "values": {"bufferView": gltf.view(shape.uv[changed].tobytes())},
    }
    return _drawn(gltf, shape, {"TEXCOORD_0": held})


def _compressed() -> Gltf:
    """The box as Blender's exporter packs it."""
    gltf, shape = Gltf(), box()
    gltf.require(DRACO)
    _drawn(gltf, shape)
    (primitive,) = gltf.json["meshes"][0]["primitives"]
    for number in (*primitive["attributes"].values(), primitive["indices"]):
        del gltf.json["accessors"][number]["bufferView"]
    numbers = {"POSITION": 0, "NORMAL": 1, "TEXCOORD_0": 2}
    primitive["extensions"] = {DRACO: {"bufferView": gltf.view(base64.b64decode(PACKED)), "attributes": numbers}}
    return gltf


def coloured_points(channels: str = "rgb") -> Gltf:
    """Points on a grid in two of the box's faces, with colours in this order of channels and no material."""
    gltf = Gltf()
    across, up = (grid.ravel() for grid in np.meshgrid(np.linspace(-0.5, 0.5, 21), np.linspace(-0.4, 0.4, 17)))
    places = np.concatenate([np.stack([across, up, np.full_like(up, side)], axis=1) for side in (-0.3, 0.3)])
    bright = places[:, ["rgb".index(channel) for channel in channels]] > 0
    attributes = {
        "POSITION": places.astype(np.float32),
        "COLOR_0": gltf.accessor((bright * 200 + 40).astype(np.uint8), normalized=True),
    }
    gltf.node(mesh=gltf.mesh(attributes, None, mode=0))
    return gltf


def _normals_inwards() -> Gltf:
    """Faces wound outwards whose normals point inwards, as bad exporters write them."""
    return _drawn(Gltf(), box(), {"NORMAL": -box().normal})


def _wound_inwards() -> Gltf:
    """Faces wound inwards, seen from both sides, whose normals point outwards."""
    gltf = _drawn(Gltf(), box(), indices=box().indices[::-1].copy())
    gltf.json["materials"][0]["doubleSided"] = True
    return gltf


def _without_normals() -> Gltf:
    gltf = _drawn(Gltf(), box())
    del gltf.json["meshes"][0]["primitives"][0]["attributes"]["NORMAL"]
    return gltf


GEOMETRY: dict[str, Feature] = {
    "indices_u8": _indexed("u1"),
    "indices_u32": _indexed("u4"),
    "indices_none": Feature(write=_without_indices),
    "triangle_strip": Feature(write=lambda: _as_mode(5, [0, 1, 3, 2])),
    "triangle_fan": Feature(write=lambda: _as_mode(6, [0, 1, 2, 3])),
    "normals_inwards": Feature(write=_normals_inwards),
    "normals_inwards_double_sided": Feature(write=_wound_inwards),
    "normals_none": Feature(write=_without_normals),
    "draco": Feature(write=_compressed),
    # Ours are balls, which shade each other; those of three.js are squares of the same width without shading.
    "points": Feature(
        write=coloured_points,
        low=(-0.5375, -0.4375, -0.3375),
        high=(0.5375, 0.4375, 0.3375),
        point_size=0.075,
        iou=0.95,
        colour=25.0,
    ),
    "sparse": Feature(write=lambda: _sparse(based=True)),
    "sparse_over_zeros": Feature(write=lambda: _sparse(based=False)),
    "sparse_coordinates": Feature(write=_sparse_coordinates),
    "interleaved": Feature(write=_interleaved),
    "quantised_i8": Feature(write=lambda: _quantised("i1", normalized=True), iou=0.98),
    "quantised_i16": Feature(write=lambda: _quantised("i2", normalized=True)),
    "quantised_i16_whole": Feature(write=lambda: _quantised("i2", normalized=False)),
    "quantised_u16": Feature(write=_unsigned),
    "quantised_uv": Feature(write=_quantised_uv),
}
