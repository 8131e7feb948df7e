"""HEIC pictures, as phones take them, by the optional package pillow-heif."""

import io

from PIL import Image

from base.errors import UsageError

BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def is_heic(data: bytes) -> bool:
    """Say whether these are the bytes of an HEIF file without AV1 pictures; AVIF has brands of its own."""
    # The main brand, and after the version the compatible brands.
    brands = {data[start : start + 4] for start in (8, *range(16, min(_box_bytes(data), 64), 4))}
    return data[4:8] == b"ftyp" and not brands & {b"avif", b"avis"} and bool(brands & set(BRANDS))


def open_heic(name: str, data: bytes) -> Image.Image:
    """The undecoded picture. Raises UsageError when pillow-heif is not installed."""
    try:
        from pillow_heif.as_plugin import HeifImageFile
    except ImportError:
        raise UsageError(
            f"{name}: expected a picture that can be read here, got HEIC: `pip install -c constraints.txt -e '.[heic]'`"
        ) from None
    return HeifImageFile(io.BytesIO(data))  # opened by its class: no plugin is registered for others


def _box_bytes(data: bytes) -> int:
    return int.from_bytes(data[:4], "big")
