"""Factors, emission and the extensions of materials, as far as a white world shows them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.render.three.feature import Feature, matte, textured_box, unlit, with_shape
from tests.render.three.gltf import Gltf
from tests.render.three.shapes import box, encoded, picture

ORANGE = [0.8, 0.3, 0.05, 1.0]
BASE = {"baseColorFactor": ORANGE, "metallicFactor": 0.0}
BLACK = {"baseColorFactor": [0, 0, 0, 1]}
SEEN_THROUGH = {"baseColorFactor": [0, 0, 0, 0.5]}
BLEND = {"alphaMode": "BLEND", "doubleSided": True}
DARK = BLACK | {"metallicFactor": 0.0}


def _plain(**material: Any) -> Gltf:
    return with_shape(Gltf(), {"pbrMetallicRoughness": BASE} | material)


def _extended(name: str, *, base: dict[str, Any] | None = None, **values: Any) -> Gltf:
    return with_shape(Gltf(), {"pbrMetallicRoughness": base or BASE, "extensions": {name: values}})


def _textured(place: str, pixels: NDArray[np.uint8], base: dict[str, Any], **fields: Any) -> Gltf:
    """A material with a picture as its texture `place`."""
    gltf = Gltf()
    return with_shape(gltf, matte(base, **fields, **{place: {"index": gltf.texture(encoded(pixels))}}))


def _slopes() -> NDArray[np.uint8]:
    """Normals of a surface that is almost even: in a white world they show nothing."""
    return np.concatenate(
        [picture(channels=3, lowest=108, highest=148)[..., :2], np.full((4, 4, 1), 252, np.uint8)], axis=2
    )


def _metallic_texture() -> Gltf:
    gltf = Gltf()
    pixels = picture()
    pixels[..., 0], pixels[..., 1] = 0, 255
    pixels[..., 2] = np.where(pixels[..., 2] > 127, 255, 0)
    info = {"index": gltf.texture(encoded(pixels))}
    return with_shape(gltf, {"pbrMetallicRoughness": {"baseColorFactor": ORANGE, "metallicRoughnessTexture": info}})


def _several() -> Gltf:
    """Two primitives of a mesh, each with its own material; both materials have the same name."""
    gltf = with_shape(Gltf(), matte({"baseColorFactor": ORANGE}, name="paint"))
    (first,) = gltf.json["meshes"][0]["primitives"]
    other = gltf.add("materials", matte({"baseColorFactor": [0.1, 0.2, 0.6, 1.0]}, name="paint"))
    for primitive, faces in ((first, box().indices[:18]), ({**first, "material": other}, box().indices[18:])):
        primitive["indices"] = gltf.accessor(faces)
        gltf.json["meshes"][0]["primitives"][primitive is not first :] = [primitive]
    return gltf


def _variants() -> Gltf:
    """What is seen is the material that the primitive names, not a variant."""
    name = "KHR_materials_variants"
    gltf = with_shape(Gltf(), matte({"baseColorFactor": ORANGE}))
    gltf.json["extensions"] = {name: {"variants": [{"name": "blue"}]}}
    blue = gltf.add("materials", matte({"baseColorFactor": [0.1, 0.2, 0.6, 1.0]}))
    mappings = [{"material": blue, "variants": [0]}]
    gltf.json["meshes"][0]["primitives"][0]["extensions"] = {name: {"mappings": mappings}}
    return gltf


def _emissive_strength() -> Gltf:
    gltf = _extended("KHR_materials_emissive_strength", base=BLACK, emissiveStrength=4.0)
    gltf.json["materials"][0]["emissiveFactor"] = [0.1, 0.2, 0.05]
    return gltf


NOISY = {"samples": 64, "colour": 2.5}
# Rough metal: the two differ in what light that bounces between its facets brings.
METAL = {"samples": 64, "colour": 4.0}

MATERIALS: dict[str, Feature] = {
    "base_colour": Feature(write=_plain, **NOISY),
    "base_colour_matte": Feature(write=lambda: with_shape(Gltf(), matte({"baseColorFactor": ORANGE}))),
    "metal_by_default": Feature(write=lambda: _plain(pbrMetallicRoughness={"baseColorFactor": ORANGE}), **METAL),
    "metal_half": Feature(write=lambda: _plain(pbrMetallicRoughness=BASE | {"metallicFactor": 0.5}), **METAL),
    "metal_texture": Feature(write=_metallic_texture, **METAL),
    "smooth": Feature(write=lambda: _plain(pbrMetallicRoughness=BASE | {"roughnessFactor": 0.2}), **NOISY),
    "normal_texture": Feature(write=lambda: _textured("normalTexture", _slopes(), BASE), colour=2.5),
    "emission": Feature(write=lambda: with_shape(Gltf(), matte(BLACK, emissiveFactor=[0.1, 0.5, 0.9]))),
    "emission_texture": Feature(
        write=lambda: _textured("emissiveTexture", picture(), BLACK, emissiveFactor=[0.9, 0.6, 0.3])
    ),
    "emission_texture_without_factor": Feature(write=lambda: _textured("emissiveTexture", picture(), BASE)),
    "emissive_strength": Feature(write=_emissive_strength, **NOISY),
    "emission_blended": Feature(
        write=lambda: with_shape(Gltf(), matte(SEEN_THROUGH, emissiveFactor=[0.1, 0.5, 0.9], **BLEND)), samples=64
    ),
    "unlit": Feature(write=lambda: textured_box(encoded(picture()), shade=unlit)),
    "unlit_factor": Feature(write=lambda: with_shape(Gltf(), unlit({"baseColorFactor": ORANGE}))),
    "materials_of_one_name": Feature(write=_several),
    "variants": Feature(write=_variants),
    "specular_colour": Feature(
        write=lambda: _extended("KHR_materials_specular", base=DARK, specularColorFactor=[1.0, 0.2, 0.2]), **NOISY
    ),
    "ior": Feature(write=lambda: _extended("KHR_materials_ior", ior=1.8), **NOISY),
    "clearcoat": Feature(write=lambda: _extended("KHR_materials_clearcoat", clearcoatFactor=1.0), **NOISY),
    # Two models of cloth, which agree in its colour at most.
    "sheen": Feature(
        write=lambda: _extended(
            "KHR_materials_sheen", base=DARK, sheenColorFactor=[0.1, 0.6, 0.9], sheenRoughnessFactor=0.6
        ),
        samples=64,
        colour=20.0,
    ),
}
