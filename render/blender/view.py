"""From a picture to a stored view: alpha cleaned, facts taken, lossless WebP."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from render.job import ViewFacts

WEBP_EFFORT = 4


def finish_view(rgba: NDArray[np.uint8], path: Path, view: int, settings: dict[str, Any]) -> ViewFacts:
    """Write `rgba` (H, W, 4) to `path` with colours zeroed where nothing is seen, and say what it shows.

    Under hard `alpha` whatever is seen at all becomes opaque.
    """
    clean = np.where(rgba[..., 3:] > 0, rgba, np.uint8(0))
    if settings["alpha"] == "hard":
        clean[..., 3] = np.where(clean[..., 3] > 0, np.uint8(255), np.uint8(0))
    Image.fromarray(clean, "RGBA").save(path, "WEBP", lossless=True, exact=True, method=WEBP_EFFORT, quality=80)
    return view_facts(clean, view, settings["min_coverage"])


def view_facts(rgba: NDArray[np.uint8], view: int, min_coverage: float) -> ViewFacts:
    """What a view shows; it is blank when its mean alpha is not above `min_coverage`."""
    alpha = rgba[..., 3]
    coverage = float(alpha.mean(dtype=np.float64)) / 255.0
    seen = rgba[alpha > 0][:, :3]
    edge = np.concatenate([alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]])
    return ViewFacts(
        view=view,
        coverage=round(coverage, 6),
        blank=coverage <= min_coverage,
        single_colour=len(seen) == 0 or bool((seen == seen[0]).all()),
        touches_border=bool(edge.any()),
    )
