"""Whether a cut-out looks like an object; what is wrong is told in words."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from photo.cutout import CutOut
from photo.masks import MIDDLE
from photo.settings import CheckSettings

HELP = (
    "`--mask FILE`; a network (`--cut-out isnet-general-use`); `--assume-cut-out`, which takes the picture as it is, "
    "or with `--cut-out border` this outline"
)


def doubt(cut: CutOut, settings: CheckSettings) -> str | None:
    """Why a method's cut-out is probably wrong, as the words after "got"; None when nothing speaks against it."""
    inside = cut.rgba[..., 3] > MIDDLE
    share, edge, outside = inside.mean(), border_share(inside), outside_largest(inside)
    if share < settings.smallest:
        return "none that stands out from the background" if share == 0 else f"only {share:.1%} of the picture"
    if share > settings.largest:
        return f"{share:.0%} of the picture"
    if edge > settings.border:
        return f"what covers {edge:.0%} of the picture's edge"
    if outside > settings.pieces:
        return f"{ndimage.label(inside)[1]} pieces with {outside:.0%} of the area outside the largest"
    if cut.confidence < settings.confidence:
        return f"a doubtful outline (confidence {cut.confidence:.2f} of {settings.confidence:.2f})"
    return None


def border_share(inside: NDArray[np.bool_]) -> float:
    """Return the fraction of a picture's edge pixels inside."""
    # Corner pixels belong to two sides and must count once.
    return float(np.concatenate([inside[0], inside[-1], inside[1:-1, 0], inside[1:-1, -1]]).mean())


def outside_largest(inside: NDArray[np.bool_]) -> float:
    """Return the fraction of the area outside the largest connected piece; 0 without any."""
    labels, count = ndimage.label(inside, np.ones((3, 3)))
    areas = np.bincount(labels.ravel())[1:]
    return float(1.0 - areas.max() / areas.sum()) if count else 0.0


def cut_sides(inside: NDArray[np.bool_]) -> tuple[str, ...]:
    """Return the sides of the picture where the object is cut off: it touches them with at least two pixels."""
    sides = {"left": inside[:, 0], "top": inside[0], "right": inside[:, -1], "bottom": inside[-1]}
    return tuple(name for name, side in sides.items() if side.sum() >= 2)
