"""Decoded pictures of every mode as 8-bit sRGB with straight alpha."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

Pixels = NDArray[np.uint8]
SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N", "I")


def srgb_from_any(picture: Image.Image) -> Pixels:
    """A decoded picture as RGBA (H, W, 4): 16 bits are divided by 257, a colour profile is applied.

    A damaged profile, or a profile for another mode, is not applied.
    """
    if picture.mode in SIXTEEN_BIT:
        return _from_sixteen_bits(picture)
    if picture.mode == "F":
        # Floating-point pictures have no fixed range; 0 to 1 is assumed.
        return _grey(np.clip(np.nan_to_num(np.asarray(picture)), 0.0, 1.0) * 255.0)
    converted = _with_profile(picture) if picture.info.get("icc_profile") else picture
    return np.asarray(converted.convert("RGBA"))


def _from_sixteen_bits(picture: Image.Image) -> Pixels:
    """Pillow's own conversion clips at 255; a value v of 65,535 is v / 257 of 255."""
    values = np.asarray(picture).astype(np.float64)
    shown = _grey(values / 257.0)
    transparent = picture.info.get("transparency")
    if isinstance(transparent, int):
        shown[..., 3] = np.where(values == transparent, 0, 255)
    return shown


def _grey(levels: NDArray[np.float64]) -> Pixels:
    grey = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    return np.dstack([grey, grey, grey, np.full_like(grey, 255)])


def _with_profile(picture: Image.Image) -> Image.Image:
    """The picture in sRGB; alpha is kept beside the conversion, which does not know it."""
    alpha = picture.convert("RGBA").getchannel("A") if _has_alpha(picture) else None
    flat = picture if picture.mode in ("RGB", "L", "CMYK") else picture.convert(_flat_mode(picture))
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(picture.info["icc_profile"]))
        shown = ImageCms.profileToProfile(flat, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    # Phones and editors write broken profiles; the picture is better shown without than refused.
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return picture
    if shown is None:
        return picture
    if alpha is not None:
        shown.putalpha(alpha)
    return shown


def _has_alpha(picture: Image.Image) -> bool:
    return "transparency" in picture.info or picture.mode in ("RGBA", "LA", "PA", "RGBa", "La")


def _flat_mode(picture: Image.Image) -> str:
    return "L" if picture.mode in ("LA", "La", "1") else "RGB"
