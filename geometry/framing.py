"""How large an object is in the frame of a camera at a known distance, and the square that shows it so.

Boxes are (left, top, right, bottom) in pixels of an image, as floats; pixel k covers [k, k + 1).
"""

from geometry.camera import Lens

Box = tuple[float, float, float, float]


def frame_fraction(lens: Lens, radius: float, extent: float = 1.0) -> float:
    """The part of a square frame that `extent`, seen at right angles at the origin from `radius`, spans.

    Lengths are in longest edges of the object. Raises ValueError for a camera in the origin.
    """
    if radius <= 0.0:
        raise ValueError(f"expected a camera away from the origin, got the radius {radius}")
    return extent * lens.focal_mm / lens.sensor_mm / radius


def square_around(box: Box, fraction: float) -> Box:
    """The square with the same centre as `box`, of which the longer side of `box` is `fraction`."""
    left, top, right, bottom = box
    half = max(right - left, bottom - top) / fraction / 2.0
    x, y = (left + right) / 2.0, (top + bottom) / 2.0
    return (x - half, y - half, x + half, y + half)
