"""Base colours out of pictures of every encoding."""

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from tests.render.three.feature import Feature, matte, textured_box, with_shape
from tests.render.three.gltf import CLAMP, LINEAR, Gltf
from tests.render.three.png import png
from tests.render.three.shapes import box, encoded, picture, saved


def _texture(data: bytes, mime: str = "image/png", **fields: Any) -> Feature:
    return Feature(write=lambda: textured_box(data, mime), **fields)


def _blocks(channels: int = 3) -> NDArray[np.uint8]:
    """A picture of blocks of 16 pixels, which JPEG keeps."""
    return np.kron(picture(channels=channels), np.ones((16, 16, 1), np.uint8))


def _smooth() -> Gltf:
    """Four texels in a row, mixed."""
    gltf = textured_box(encoded(picture(lowest=120, highest=200)))
    gltf.json["samplers"][0] |= {"magFilter": LINEAR, "minFilter": LINEAR}
    return gltf


def _two_samplers() -> Gltf:
    """One picture by two textures, of which one repeats it and the other does not."""
    gltf = Gltf()
    first = gltf.texture(encoded(picture()))
    sampler = gltf.add("samplers", {"magFilter": 9728, "minFilter": 9728, "wrapS": CLAMP, "wrapT": CLAMP})
    second = gltf.add("textures", {"source": 0, "sampler": sampler})
    larger = box()._replace(uv=(box().uv * 2 - 0.5).astype(np.float32))
    glow = {"emissiveTexture": {"index": second}, "emissiveFactor": [0.3, 0.3, 0.3]}
    return with_shape(gltf, matte({"baseColorTexture": {"index": first}}, **glow), larger)


def _jpeg(mode: str = "RGB", **options: Any) -> bytes:
    return saved(Image.fromarray(_blocks()).convert(mode), "JPEG", quality=100, subsampling=0, **options)


def _webp() -> Gltf:
    gltf = Gltf()
    gltf.require("EXT_texture_webp")
    texture = gltf.texture(encoded(picture(), "WEBP", lossless=True), "image/webp")
    gltf.json["textures"][texture]["extensions"] = {
        "EXT_texture_webp": {"source": gltf.json["textures"][0].pop("source")}
    }
    return with_shape(gltf, matte({"baseColorTexture": {"index": texture}}))


def _palette(**options: Any) -> bytes:
    return saved(Image.fromarray(picture()).quantize(16), **options)


def _external(*uris: str) -> Gltf:
    """A box whose texture and emission are the files of one or two addresses."""
    gltf = Gltf()
    textures = [{"index": gltf.add("textures", {"source": gltf.add("images", {"uri": uri})})} for uri in uris]
    sampler = gltf.add("samplers", {"magFilter": 9728, "minFilter": 9728})
    for texture in gltf.json["textures"]:
        texture["sampler"] = sampler
    glow = {"emissiveTexture": textures[1], "emissiveFactor": [0.3, 0.3, 0.3]} if len(uris) > 1 else {}
    return with_shape(gltf, matte({"baseColorTexture": textures[0]}, **glow))


def _same_name_twice() -> Gltf:
    gltf = Gltf()
    for channels in (3, 4):
        gltf.texture(encoded(picture(channels=channels)))
    for image in gltf.json["images"]:
        image["name"] = "colour"
    glow = {"emissiveTexture": {"index": 1}, "emissiveFactor": [0.3, 0.3, 0.3]}
    return with_shape(gltf, matte({"baseColorTexture": {"index": 0}}, **glow))


def _by_data_uri() -> Gltf:
    data = base64.b64encode(encoded(picture())).decode()
    return _external(f"data:image/png;base64,{data}")


def _of_a_wide_gamut() -> bytes:
    """A PNG with an ICC profile; the specification has loaders ignore it."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    swapped = bytearray(profile)
    swapped[red : red + 4], swapped[green : green + 4] = b"gXYZ", b"rXYZ"
    return encoded(picture(), icc_profile=bytes(swapped))


DEEP = np.random.default_rng(16).integers(0, 1 << 16, (4, 4, 4)).astype(np.uint16)
# JPEG's own rounding, which decoders are free in.
LOSSY = {"colour": 2.0}

PICTURES: dict[str, Feature] = {
    "texture_nearest": _texture(encoded(picture())),
    # Cycles mixes texels before it decodes sRGB, three.js after, as the specification recommends; of texels that are
    # alike, as neighbours mostly are, both make the same.
    "texture_linear": Feature(write=_smooth, colour=2.0),
    "png_interlaced": _texture(png(picture(9), interlaced=True)),
    "png_16_rgb": _texture(png(DEEP[..., :3])),
    "png_16_rgba": _texture(png(DEEP)),
    "png_16_grey": _texture(png(DEEP[..., :1])),
    "png_grey": _texture(png(picture(channels=1))),
    "png_grey_alpha": _texture(png(picture(channels=2))),
    "png_palette": _texture(_palette()),
    "png_palette_transparent": _texture(_palette(transparency=3)),
    "png_one_bit": _texture(encoded(picture(channels=1)[..., 0] > 100)),
    "png_gamma_is_ignored": _texture(png(picture(), chunks={"gAMA": (100_000).to_bytes(4, "big")})),
    "png_odd_edges": _texture(png(picture(7)[:, :5])),
    "png_profile_is_ignored": _texture(_of_a_wide_gamut()),
    "png_colour_key": _texture(png(picture(), chunks={"tRNS": picture()[0, 0].astype(">u2").tobytes()})),
    "png_of_one_pixel": _texture(png(picture()[:1, :1])),
    "jpeg_subsampled": _texture(saved(Image.fromarray(_blocks()), "JPEG", quality=95), "image/jpeg", colour=3.0),
    "jpeg": _texture(_jpeg(), "image/jpeg", **LOSSY),
    "jpeg_progressive": _texture(_jpeg(progressive=True), "image/jpeg", **LOSSY),
    "jpeg_grey": _texture(_jpeg("L"), "image/jpeg", **LOSSY),
    "jpeg_cmyk": _texture(_jpeg("CMYK"), "image/jpeg", **LOSSY),
    "jpeg_said_to_be_png": _texture(_jpeg(), "image/png", **LOSSY),
    "webp": Feature(write=_webp),
    "picture_by_two_samplers": Feature(write=_two_samplers),
    "picture_in_a_uri": Feature(write=_by_data_uri),
    "picture_beside": Feature(write=lambda: _external("a%20b.png"), companions={"a b.png": encoded(picture())}),
    "picture_names_equal": Feature(write=_same_name_twice),
    "picture_files_equal_names": Feature(
        write=lambda: _external("one/colour.png", "two/colour.png"),
        companions={"one/colour.png": encoded(picture()), "two/colour.png": encoded(picture(channels=4))},
    ),
}
