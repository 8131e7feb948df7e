"""Colours of vertices in each encoding, alone and with what they multiply."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.render.three.feature import Feature, matte, unlit
from tests.render.three.gltf import Gltf
from tests.render.three.shapes import box, encoded, picture


def _values(channels: int) -> NDArray[np.float64]:
    """Linear colours of the corners; the fourth channel is alpha."""
    return np.random.default_rng(channels).uniform(0.05, 1.0, (len(box().position), channels))


def _coloured(dtype: str, channels: int = 3, material: dict[str, Any] | None = None) -> Gltf:
    gltf, shape = Gltf(), box()
    highest = np.iinfo(dtype).max if dtype != "f4" else 1
    values = _values(channels) * highest
    colours = gltf.accessor((values if dtype == "f4" else np.round(values)).astype(dtype), normalized=dtype != "f4")
    number = gltf.add("materials", material or matte({}))
    gltf.node(mesh=gltf.mesh({**shape.attributes(), "COLOR_0": colours}, shape.indices, material=number))
    return gltf


def _encoded(dtype: str, channels: int) -> Feature:
    return Feature(write=lambda: _coloured(dtype, channels))


def _with_texture() -> Gltf:
    gltf = _coloured("f4")
    factor = [0.9, 0.5, 0.7, 1.0]
    texture = gltf.texture(encoded(picture()))
    gltf.json["materials"][0]["pbrMetallicRoughness"] |= {
        "baseColorTexture": {"index": texture},
        "baseColorFactor": factor,
    }
    return gltf


def _second_colours_only_decorate() -> Gltf:
    gltf = _coloured("f4")
    attributes = gltf.json["meshes"][0]["primitives"][0]["attributes"]
    attributes["COLOR_1"] = gltf.accessor(1.0 - _values(3).astype(np.float32))
    return gltf


def _half_coloured() -> Gltf:
    """Two primitives of one mesh and one material, of which the first alone has colours."""
    gltf = _coloured("u1", 4, matte({"baseColorFactor": [0.9, 0.6, 0.3, 1.0]}))
    (first,) = gltf.json["meshes"][0]["primitives"]
    bare = {key: value for key, value in first["attributes"].items() if key != "COLOR_0"}
    gltf.json["meshes"][0]["primitives"] = [
        first | {"indices": gltf.accessor(box().indices[:18])},
        first | {"indices": gltf.accessor(box().indices[18:]), "attributes": bare},
    ]
    return gltf


def _two_encodings() -> Gltf:
    """Two primitives of one mesh with colours of different encodings."""
    gltf = _coloured("u1", 4)
    (first,) = gltf.json["meshes"][0]["primitives"]
    floats = gltf.accessor(_values(3).astype(np.float32))
    gltf.json["meshes"][0]["primitives"] = [
        first | {"indices": gltf.accessor(box().indices[:18])},
        first | {"indices": gltf.accessor(box().indices[18:]), "attributes": first["attributes"] | {"COLOR_0": floats}},
    ]
    return gltf


COLOURS: dict[str, Feature] = {
    **{f"colours_{dtype}_{channels}": _encoded(dtype, channels) for dtype in ("f4", "u1", "u2") for channels in (3, 4)},
    "colours_unlit": Feature(write=lambda: _coloured("f4", 3, unlit({}))),
    "colours_with_texture_and_factor": Feature(write=_with_texture),
    "colours_of_one_primitive": Feature(write=_half_coloured),
    "colours_of_two_encodings": Feature(write=_two_encodings),
    "colours_second_set": Feature(write=_second_colours_only_decorate),
    "colours_alpha_blend": Feature(
        write=lambda: _coloured("f4", 4, unlit({}, alphaMode="BLEND", doubleSided=True)), samples=64
    ),
    "colours_alpha_mask": Feature(write=lambda: _coloured("u1", 4, unlit({}, alphaMode="MASK", doubleSided=True))),
}
