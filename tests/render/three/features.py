"""The feature files: each is a box, or little more, that shows one thing glTF can say."""

from tests.render.three.feature import Feature, textured_box, with_box
from tests.render.three.gltf import LINEAR, Gltf
from tests.render.three.shapes import encoded, picture

ORANGE = [0.8, 0.3, 0.05, 1.0]

FEATURES: dict[str, Feature] = {
    "texture_nearest": Feature(write=lambda: textured_box(encoded(picture()))),
    # Cycles mixes texels before it decodes sRGB, three.js after, as the specification recommends; of texels that are
    # alike, as neighbours mostly are, both make the same.
    "texture_linear": Feature(
        write=lambda: textured_box(encoded(picture(lowest=120, highest=200)), magFilter=LINEAR, minFilter=LINEAR)
    ),
    "base_colour": Feature(
        write=lambda: with_box(Gltf(), pbrMetallicRoughness={"baseColorFactor": ORANGE, "metallicFactor": 0.0})
    ),
    # Rough metal is noisy in Cycles, and the two differ in what light that bounces between its facets brings.
    "metal_by_default": Feature(
        write=lambda: with_box(Gltf(), pbrMetallicRoughness={"baseColorFactor": ORANGE}), colour=4.0
    ),
    "emission": Feature(
        write=lambda: with_box(
            Gltf(), pbrMetallicRoughness={"baseColorFactor": [0, 0, 0, 1]}, emissiveFactor=[0.1, 0.5, 0.9]
        )
    ),
}
