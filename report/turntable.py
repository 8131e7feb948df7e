"""Turntables: RGBA frames as an animated WebP, which every browser plays without a script."""

import io
from collections.abc import Sequence

from PIL import Image

from report.images import Pixels, checked


def turntable_webp(frames: Sequence[Pixels], *, seconds: float, quality: int = 80) -> bytes:
    """An endlessly looping animated WebP whose frames together last `seconds`; alpha is kept.

    Raises ValueError without frames or when their sizes differ.
    """
    if not frames or len({checked(frame).shape[:2] for frame in frames}) != 1:
        shapes = sorted({frame.shape[:2] for frame in frames})
        raise ValueError(f"expected at least one frame, all of one size, got {shapes}")
    first, *others = [Image.fromarray(frame).convert("RGBA") for frame in frames]
    stream = io.BytesIO()
    first.save(
        stream,
        "WEBP",
        save_all=True,
        append_images=others,
        duration=max(1, round(seconds * 1000 / len(frames))),
        loop=0,
        quality=quality,
        alpha_quality=90,
        method=4,
    )
    return stream.getvalue()
