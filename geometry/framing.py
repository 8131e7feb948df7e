"""The size of an object in the frame of a camera at a known distance, and the matching square of a picture.

Boxes are (left, top, right, bottom) in pixels of an image, as floats; pixel k covers [k, k + 1).
"""

from geometry.camera import Lens

Box = tuple[float, float, float, float]


def frame_fraction(lens: Lens, radius: float, extent: float = 1.0) -> float:
    """Return the fraction of a square frame spanned by `extent`, at the origin, at right angles, from `radius`.

    Lengths are in longest edges of the object. Raises ValueError for a camera in the origin.
    """
    if radius <= 0.0:
        raise ValueError(f"expected a camera away from the origin, got the radius {radius}")
    return extent * lens.focal_mm / lens.sensor_mm / radius


def square_around(box: Box, fraction: float) -> Box:
    """Return the square around the centre of `box` whose side times `fraction` is the longer side of `box`."""
    left, top, right, bottom = box
    half = max(right - left, bottom - top) / fraction / 2.0
    x, y = (left + right) / 2.0, (top + bottom) / 2.0
    return (x - half, y - half, x + half, y + half)
