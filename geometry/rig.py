"""Rigs: lists of cameras around an object, as data in YAML files.

A rig's coordinates are `polar_deg` from +z, `azimuth_deg` counter-clockwise from +x, and `radius` in longest edges of
the object. Coordinates under `relative` count from the input's camera instead: positive polar is down,
positive azimuth is right, positive radius is away. A `spread_*` makes a coordinate a seeded draw around its value.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from geometry.camera import PAPER_LENS, Lens, Orthographic, look_at_origin
from geometry.sphere import cartesian_from_spherical

Floats = NDArray[np.float64]
Coordinate = Literal["polar", "azimuth", "radius"]

RIGS = Path(__file__).parent / "rigs"
"""The shipped rigs, a YAML file each."""
COORDINATES: tuple[Coordinate, ...] = ("polar", "azimuth", "radius")
MAX_CAMERAS = 999
SENSOR_MM = 32.0
"""The sensor of lenses with a given field of view; only its ratio to the focal length matters."""


@dataclass(frozen=True, kw_only=True)
class Viewpoint:
    """Spherical coordinates of a camera looking at the origin; `polar_rad` is None if unknown."""

    polar_rad: float | None
    azimuth_rad: float = 0.0
    radius: float = 1.85


@dataclass(frozen=True, kw_only=True)
class RigReference:
    """The reference camera of relative coordinates without an input view, as in a render."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    polar_deg: float
    azimuth_deg: float
    radius: float


@dataclass(frozen=True, kw_only=True)
class RigCamera:
    """A camera of a rig; `fov_deg` and `orthographic_width` override the rig's own."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    polar_deg: float
    azimuth_deg: float
    radius: float
    spread_polar_deg: float = 0.0
    spread_azimuth_deg: float = 0.0
    spread_radius: float = 0.0
    fov_deg: float | None = None
    orthographic_width: float | None = None
    name: str = ""

    def __post_init__(self) -> None:
        values = (self.polar_deg, self.azimuth_deg, self.radius)
        spreads = (self.spread_polar_deg, self.spread_azimuth_deg, self.spread_radius)
        if not np.isfinite([*values, *spreads]).all() or min(spreads) < 0.0:
            raise ValueError("finite numbers, and spreads of 0 or more")
        _check_lens(self.fov_deg, self.orthographic_width)

    def draw(self, rng: np.random.Generator) -> tuple[float, float, float]:
        """Return (polar_rad, azimuth_rad, radius), drawn from the spreads where there are any.

        Azimuth and radius are uniform; the polar angle is the arcsine of a uniform number, scaled to its spread:
        a spread of 90° around 90° is uniform by area.
        """
        # All three are drawn even without a spread, so that adding one keeps the draws of the other coordinates.
        height, turn, away = rng.uniform(-1.0, 1.0, 3)
        polar = self.polar_deg + self.spread_polar_deg * np.arcsin(height) / (np.pi / 2.0)
        azimuth = self.azimuth_deg + self.spread_azimuth_deg * turn
        return float(np.deg2rad(polar)), float(np.deg2rad(azimuth)), float(self.radius + self.spread_radius * away)


@dataclass(frozen=True, kw_only=True)
class Rig:
    """A list of cameras: perspective with `fov_deg` across the longer image edge, or orthographic.

    `orthographic_width` is the width of the view in longest edges of the object. Without either, the lens is the
    paper's.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    cameras: tuple[RigCamera, ...]
    relative: tuple[Coordinate, ...] = ()
    reference: RigReference | None = None
    fov_deg: float | None = None
    orthographic_width: float | None = None
    source: str = ""

    def __post_init__(self) -> None:
        if not 1 <= len(self.cameras) <= MAX_CAMERAS:
            raise ValueError(f"1 to {MAX_CAMERAS} cameras")
        _check_lens(self.fov_deg, self.orthographic_width)
        for number, camera in enumerate(self.cameras):
            if "polar" not in self.relative and not 0.0 <= camera.polar_deg <= 180.0:
                raise ValueError(f"cameras.{number}.polar_deg from 0 to 180, or polar among the relative")
            if "radius" not in self.relative and camera.radius - camera.spread_radius <= 0.0:
                raise ValueError(f"cameras.{number}.radius above 0, or radius among the relative")

    def lens(self, number: int) -> Lens | Orthographic:
        """Return the lens of camera `number`."""
        camera = self.cameras[number]
        # A rig and a camera may give different kinds of lens, so the camera's own replaces both values of the rig.
        own = camera if (camera.fov_deg or camera.orthographic_width) else self
        if own.orthographic_width is not None:
            return Orthographic(width=own.orthographic_width)
        return PAPER_LENS if own.fov_deg is None else lens_of_fov(np.deg2rad(own.fov_deg))

    @property
    def has_lens(self) -> bool:
        """Whether the rig or any camera says what lens it has."""
        given = [(self.fov_deg, self.orthographic_width)]
        given += [(camera.fov_deg, camera.orthographic_width) for camera in self.cameras]
        return any(value is not None for values in given for value in values)

    def needs(self, coordinate: Coordinate) -> bool:
        """Say whether moves from an input view need to know this coordinate of the input's camera."""
        return coordinate not in self.relative

    def coordinates(self, rngs: Sequence[np.random.Generator]) -> Floats:
        """Return (polar_rad, azimuth_rad, radius) of each camera as in the file, (V, 3), each with a generator."""
        return np.array([camera.draw(rng) for camera, rng in zip(self.cameras, rngs, strict=True)], np.float64)

    def moves(self, origin: Viewpoint, lens: Lens, rngs: Sequence[np.random.Generator]) -> Floats:
        """Return the moves (polar_rad, azimuth_rad, radius) from the input's camera at `origin`, (V, 3).

        `lens` is that of the sampled views: an absolute radius of another lens becomes the radius of the same framing.
        Raises ValueError for orthographic cameras, and for absolute polar angles when `origin`'s is unknown.
        """
        moves = self.coordinates(rngs)
        for number, move in enumerate(moves):
            own = self.lens(number)
            if isinstance(own, Orthographic):
                raise ValueError(f"expected perspective cameras, as of the model, got camera {number} orthographic")
            if self.needs("radius"):
                move[2] = same_framing_radius(move[2], own, lens)
        if self.needs("polar"):
            if origin.polar_rad is None:
                raise ValueError("expected the input's elevation for absolute polar angles, got nothing")
            moves[:, 0] -= origin.polar_rad
        if self.needs("azimuth"):
            moves[:, 1] -= origin.azimuth_rad
        if self.needs("radius"):
            moves[:, 2] -= origin.radius
        return moves

    def extrinsics(self, rngs: Sequence[np.random.Generator]) -> Floats:
        """Return `cam_from_world` of each camera, (V, 3, 4), without an input view: see `RigReference`.

        Raises ValueError for relative coordinates without a reference, and for a camera inside the object.
        """
        places = self.coordinates(rngs)
        if self.relative and self.reference is None:
            raise ValueError(
                f"expected a reference, which relative coordinates ({', '.join(self.relative)}) count from"
            )
        if self.reference is not None:
            origin = (self.reference.polar_deg, self.reference.azimuth_deg, self.reference.radius)
            counted = [coordinate in self.relative for coordinate in COORDINATES]
            places += np.where(counted, [np.deg2rad(origin[0]), np.deg2rad(origin[1]), origin[2]], 0.0)
        return place_cameras(places)


def place_cameras(places: Floats) -> Floats:
    """Return `cam_from_world` (V, 3, 4) of cameras at (polar_rad, azimuth_rad, radius), (V, 3).

    A polar angle beyond a pole is taken for the pole. Raises ValueError for a radius of 0 or less.
    """
    if not (places[:, 2] > 0.0).all():
        raise ValueError(f"expected radii above 0, got {places[:, 2].min():g}")
    # A thousandth of a degree from the pole the camera's "up" still follows its azimuth.
    polar = np.clip(places[:, 0], 2e-5, np.pi - 2e-5)
    centres = cartesian_from_spherical(polar, places[:, 1], places[:, 2])
    return np.stack([look_at_origin(centre) for centre in centres])


def lens_of_fov(fov_rad: float) -> Lens:
    """Return the lens whose field of view, across the longer image edge, is `fov_rad`."""
    return Lens(focal_mm=SENSOR_MM / (2.0 * float(np.tan(fov_rad / 2.0))), sensor_mm=SENSOR_MM)


def same_framing_radius(radius: float, lens: Lens, wanted: Lens) -> float:
    """Return the distance at which `wanted` draws an object at the origin as large as `lens` does at `radius`.

    Exact for the plane through the origin: the ratio of the tangents of half the fields of view.
    """
    return radius * float(np.tan(lens.fov_rad / 2.0) / np.tan(wanted.fov_rad / 2.0))


def rig_names() -> list[str]:
    """Return the names of the shipped rigs."""
    return sorted(path.stem for path in RIGS.glob("*.yaml"))


def _check_lens(fov_deg: float | None, orthographic_width: float | None) -> None:
    if fov_deg is not None and orthographic_width is not None:
        raise ValueError("fov_deg or orthographic_width, not both")
    if fov_deg is not None and not 0.0 < fov_deg < 180.0:
        raise ValueError("fov_deg between 0 and 180")
    if orthographic_width is not None and not 0.0 < orthographic_width < np.inf:
        raise ValueError("an orthographic_width above 0")
