"""Turntables: RGBA frames as an animated WebP; browsers play it without a script."""

import io
from collections.abc import Sequence

from PIL import Image

from report.images import Pixels, check_pixels


def turntable_webp(frames: Sequence[Pixels], *, seconds: float, quality: int = 80) -> bytes:
    """Encode an endless animated WebP of `seconds`; alpha is kept.

    Raises ValueError without frames or when their sizes differ.
    """
    if not frames or len({check_pixels(frame).shape[:2] for frame in frames}) != 1:
        shapes = sorted({frame.shape[:2] for frame in frames})
        raise ValueError(f"expected at least 1 frame, all of the same size, got {shapes}")
    first, *others = [Image.fromarray(frame).convert("RGBA") for frame in frames]
    stream = io.BytesIO()
    first.save(
        stream,
        "WEBP",
        save_all=True,
        append_images=others,
        # WebP counts whole milliseconds, and 0 means as fast as possible.
        duration=max(1, round(seconds * 1000 / len(frames))),
        loop=0,
        quality=quality,
        alpha_quality=90,
        method=4,
    )
    return stream.getvalue()
