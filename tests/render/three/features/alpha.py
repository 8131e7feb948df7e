"""What is seen through: alpha modes, and the sides of faces."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.render.three.feature import Feature, Shade, matte, textured_box, unlit, with_shape
from tests.render.three.gltf import Gltf
from tests.render.three.shapes import Shape, box, encoded, picture, sheet

NOISY = {"samples": 64}
"""Cycles decides by lot whether a ray passes."""


def _levels() -> NDArray[np.uint8]:
    """A picture with texels of alpha 0, 85, 170 and 255, and colours below all of them."""
    pixels = picture(channels=4)
    pixels[..., 3] = np.random.default_rng(5).permutation(np.repeat([0, 85, 170, 255], 4)).reshape(4, 4)
    return pixels


def _textured(mode: str, *, shape: Shape | None = None, shade: Shade = unlit, **material: Any) -> Gltf:
    return textured_box(encoded(_levels()), shape=shape, shade=shade, alphaMode=mode, **material)


def _plain(alpha: float, mode: str, **material: Any) -> Gltf:
    return with_shape(Gltf(), unlit({"baseColorFactor": [0.2, 0.5, 0.8, alpha]}, alphaMode=mode, **material))


def _open(*, double: bool, scale: tuple[float, float, float] = (1.0, 1.0, 1.0), inside_out: bool = False) -> Gltf:
    """A box without the face that one of the two cameras looks through, perhaps turned inside out."""
    shape = box().without_face(OPEN)
    if inside_out:
        shape = shape._replace(indices=shape.indices[::-1].copy(), normal=-shape.normal)
    gltf = textured_box(encoded(picture()), shape=shape, shade=unlit, doubleSided=double)
    gltf.json["nodes"][0]["scale"] = list(scale)
    return gltf


def _picture_and_factor() -> Gltf:
    gltf = _textured("BLEND", doubleSided=True)
    gltf.json["materials"][0]["pbrMetallicRoughness"]["baseColorFactor"] = [0.9, 0.5, 1.0, 0.6]
    return gltf


OPEN = 3
SHEET: dict[str, Any] = {"low": (-0.5, -0.4, 0.3), "high": (0.5, 0.4, 0.3)}


def _on_a_sheet(mode: str) -> Gltf:
    """The picture on a sheet that is lit: nothing throws a shade on it."""
    return _textured(mode, shape=sheet(), shade=matte, doubleSided=True)


ALPHA: dict[str, Feature] = {
    "alpha_opaque": Feature(write=lambda: _textured("OPAQUE")),
    "alpha_opaque_lit": Feature(write=lambda: _textured("OPAQUE", shade=matte)),
    "alpha_mask": Feature(write=lambda: _textured("MASK", doubleSided=True)),
    "alpha_mask_lit": Feature(write=lambda: _on_a_sheet("MASK"), **SHEET),
    "alpha_mask_cutoff": Feature(write=lambda: _textured("MASK", doubleSided=True, alphaCutoff=0.2)),
    "alpha_mask_cutoff_high": Feature(write=lambda: _textured("MASK", doubleSided=True, alphaCutoff=0.9)),
    "alpha_mask_single_sided": Feature(write=lambda: _textured("MASK")),
    "alpha_blend": Feature(write=lambda: _textured("BLEND", doubleSided=True), **NOISY),
    "alpha_blend_lit": Feature(write=lambda: _on_a_sheet("BLEND"), samples=256, **SHEET),
    "alpha_blend_single_sided": Feature(write=lambda: _textured("BLEND"), **NOISY),
    "alpha_of_the_factor": Feature(write=lambda: _plain(0.6, "BLEND", doubleSided=True), **NOISY),
    "alpha_of_the_factor_opaque": Feature(write=lambda: _plain(0.2, "OPAQUE")),
    "alpha_of_the_factor_masked": Feature(write=lambda: _plain(0.6, "MASK")),
    "alpha_mask_cutoff_zero": Feature(write=lambda: _textured("MASK", alphaCutoff=0.0)),
    "alpha_of_picture_and_factor": Feature(write=_picture_and_factor, **NOISY),
    "double_sided_open_box": Feature(write=lambda: _open(double=True)),
    "single_sided_open_box": Feature(write=lambda: _open(double=False)),
    "single_sided_inside_out": Feature(write=lambda: _open(double=False, inside_out=True)),
    "single_sided_mirrored": Feature(write=lambda: _open(double=False, scale=(-1.0, 1.0, 1.0))),
}
