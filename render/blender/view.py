"""From a picture to a stored view: clean its alpha, check it, write lossless WebP.

A new check is a measure and a condition in `view_facts`, a field of `render.job.ViewFacts`, a name in
`render.job.CHECKS` and `render.settings.Check`, and its limit in `render.settings.ChecksSettings`. Checks of a model's
file, before Blender, are in `render.formats`.
"""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from render.job import ViewFacts

WEBP = {"lossless": True, "exact": True, "method": 2, "quality": 50}
"""Half the time of Pillow's own effort for 2 % more bytes."""
ALPHA_BYTE, ALPHA_BIT = 24, 0x10
"""Where a lossless WebP says that alpha counts: libwebp says no of opaque pictures, and readers see three channels."""


def finish_view(
    rgba: NDArray[np.uint8], path: Path, view: int, settings: dict[str, Any], *, is_finite: bool
) -> ViewFacts:
    """Write `rgba` (H, W, 4) to `path` with zero colours where alpha is 0, and return its facts.

    Under hard `alpha` every pixel with any alpha becomes opaque. `is_finite` is True if all values were finite.
    """
    # Colours under zero alpha mean nothing, and compress badly.
    clean = np.where(rgba[..., 3:] > 0, rgba, np.uint8(0))
    if settings["alpha"] == "hard":
        clean[..., 3] = np.where(clean[..., 3] > 0, np.uint8(255), np.uint8(0))
    path.write_bytes(webp_bytes(clean))
    return view_facts(clean, view, settings["checks"], is_finite=is_finite)


def webp_bytes(rgba: NDArray[np.uint8]) -> bytes:
    """Encode `rgba` (H, W, 4) as lossless WebP of four channels, even if all of it is opaque."""
    stream = BytesIO()
    Image.fromarray(rgba, "RGBA").save(stream, "WEBP", **WEBP)
    data = stream.getbuffer()
    data[ALPHA_BYTE] |= ALPHA_BIT
    return bytes(data)


def view_facts(rgba: NDArray[np.uint8], view: int, checks: dict[str, Any], *, is_finite: bool) -> ViewFacts:
    """Measure a view and make its checks, within the limits of a dumped `ChecksSettings`."""
    alpha = rgba[..., 3]
    coverage = float(alpha.mean(dtype=np.float64)) / 255.0
    seen = rgba[alpha > 0][:, :3]
    colour_range = int(np.ptp(seen, axis=0).max()) if len(seen) else 0
    edge = np.concatenate([alpha[0], alpha[-1], alpha[1:-1, 0], alpha[1:-1, -1]])
    # Any alpha counts: a cut object may meet the frame with a soft edge.
    border_share = float(np.mean(edge > 0))
    says = {
        "transparent": not len(seen),
        "blank": coverage <= checks["blank_coverage"],
        "single_colour": colour_range <= checks["single_colour_range"],
        "touches_border": border_share > checks["border_share"],
        "not_finite": not is_finite,
    }
    return ViewFacts(
        view=view,
        # Rounded: the record's bytes must not depend on the order of a sum.
        coverage=round(coverage, 6),
        colour_range=colour_range,
        border_share=round(border_share, 6),
        **says,
        bad=", ".join(name for name, yes in says.items() if yes and name in checks["bad"]),
    )
