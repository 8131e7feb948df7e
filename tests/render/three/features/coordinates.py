"""Where a texture is on a surface: sets of coordinates, their encodings, transforms and samplers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.render.three.feature import Feature, matte
from tests.render.three.gltf import CLAMP, MIRROR, REPEAT, Gltf
from tests.render.three.shapes import box, encoded, picture

TRANSFORM = "KHR_texture_transform"


def _mapped(
    sets: dict[str, Any],
    *,
    texcoord: int = 0,
    transform: dict[str, Any] | None = None,
    sampler: dict[str, int] | None = None,
) -> Gltf:
    """A textured box with these sets of coordinates, of which the texture takes number `texcoord`."""
    gltf, shape = Gltf(), box()
    info: dict[str, Any] = {"index": gltf.texture(encoded(picture()), **(sampler or {})), "texCoord": texcoord}
    if transform is not None:
        info["extensions"] = {TRANSFORM: transform}
    material = gltf.add("materials", matte({"baseColorTexture": info}))
    attributes = {
        "POSITION": shape.position,
        "NORMAL": shape.normal,
        **{key: value(gltf) if callable(value) else value for key, value in sets.items()},
    }
    gltf.node(mesh=gltf.mesh(attributes, shape.indices, material=material))
    return gltf


def _uv(scale: float = 1.0, shift: float = 0.0) -> NDArray[np.float32]:
    return (box().uv * scale + shift).astype(np.float32)


def _normalised(dtype: str) -> Any:
    highest = np.iinfo(dtype).max
    return lambda gltf: gltf.accessor(np.round(_uv(0.8, 0.1) * highest).astype(dtype), normalized=True)


def _transformed(**transform: Any) -> Feature:
    return Feature(write=lambda: _mapped({"TEXCOORD_0": _uv()}, transform=transform))


def _wrapped(s: int, t: int) -> Feature:
    return Feature(write=lambda: _mapped({"TEXCOORD_0": _uv(2.6, -0.7)}, sampler={"wrapS": s, "wrapT": t}))


def _without_sampler() -> Gltf:
    """The default sampler repeats and mixes texels, which are therefore much alike: see `texture_linear`."""
    gltf = _mapped({"TEXCOORD_0": _uv(2.6, -0.7)})
    del gltf.json["textures"][0]["sampler"]
    gltf.json["images"][0]["bufferView"] = gltf.view(encoded(picture(lowest=120, highest=200)))
    return gltf


def _two_maps() -> Gltf:
    """Base colour by the first set, emission by the second, turned."""
    gltf = _mapped(TWO)
    info = {"index": 0, "texCoord": 1, "extensions": {TRANSFORM: {"rotation": 0.5, "scale": [0.6, 0.9]}}}
    gltf.json["materials"][0] |= {"emissiveTexture": info, "emissiveFactor": [0.4, 0.4, 0.4]}
    return gltf


TWO = {"TEXCOORD_0": _uv(0.2), "TEXCOORD_1": _uv(0.9, 0.05)}

COORDINATES: dict[str, Feature] = {
    "uv_second_set": Feature(write=lambda: _mapped(TWO, texcoord=1)),
    "uv_second_set_unused": Feature(write=lambda: _mapped(TWO)),
    "uv_set_of_each_texture": Feature(write=_two_maps),
    "uv_far_away": Feature(write=lambda: _mapped({"TEXCOORD_0": _uv(1.0, 500.0)})),
    "uv_third_set": Feature(write=lambda: _mapped(TWO | {"TEXCOORD_2": _uv(0.7, 0.2)}, texcoord=2)),
    "uv_u8": Feature(write=lambda: _mapped({"TEXCOORD_0": _normalised("u1")})),
    "uv_u16": Feature(write=lambda: _mapped({"TEXCOORD_0": _normalised("u2")})),
    "transform_offset": _transformed(offset=[0.3, 0.15]),
    "transform_scale": _transformed(scale=[0.5, 2.0]),
    "transform_rotation": _transformed(rotation=0.4),
    "transform_all": _transformed(offset=[0.2, 0.4], rotation=-0.7, scale=[1.5, 0.6]),
    "transform_negative_scale": _transformed(offset=[1.0, 0.0], scale=[-1.0, 1.0]),
    "transform_names_the_set": Feature(write=lambda: _mapped(TWO, transform={"texCoord": 1, "scale": [0.7, 0.7]})),
    "wrap_repeat": _wrapped(REPEAT, REPEAT),
    "wrap_clamp": _wrapped(CLAMP, CLAMP),
    "wrap_mirror": _wrapped(MIRROR, MIRROR),
    "wrap_clamp_mirror": _wrapped(CLAMP, MIRROR),
    "wrap_repeat_clamp": _wrapped(REPEAT, CLAMP),
    "wrap_mirror_repeat": _wrapped(MIRROR, REPEAT),
    "wrap_by_default": Feature(write=_without_sampler, colour=2.0),
    "transform_and_clamp": Feature(
        write=lambda: _mapped(
            {"TEXCOORD_0": _uv()},
            transform={"offset": [-0.5, -0.25], "rotation": 0.3, "scale": [2.0, 2.0]},
            sampler={"wrapS": CLAMP, "wrapT": MIRROR},
        )
    ),
}
