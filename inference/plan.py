"""The views to sample of a photo: their camera moves, seeds, file names, and what their pictures depend on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from base.digest import digest_json, sha256_bytes
from base.seeds import stable_rng, stable_seed
from geometry.camera import Lens
from geometry.relative import pose_from_deltas
from geometry.rig import Rig, Viewpoint, place_cameras

Picture = Literal["png", "webp"]
LEVEL_RAD = float(np.pi / 2.0)
"""The polar angle of the input's camera when it is unknown."""


@dataclass(frozen=True, kw_only=True)
class Move:
    """A camera move from the input's camera: positive polar is down, azimuth right, radius away."""

    polar_rad: float
    azimuth_rad: float
    radius: float
    name: str = ""

    @property
    def label(self) -> str:
        """A few words for a contact sheet: the move's name, or its degrees up and right."""
        up, right = -np.rad2deg(self.polar_rad), np.rad2deg(self.azimuth_rad)
        away = f" {self.radius:+.2g}" if self.radius else ""
        # Adding 0.0 turns −0.0 into 0.0, which would otherwise be shown as −0°.
        return self.name or f"{up + 0.0:+.4g}° {right + 0.0:+.4g}°{away}"

    def facts(self) -> dict[str, float | str]:
        """Return the move in the units of the command line."""
        return {
            "name": self.name,
            "up_deg": -float(np.rad2deg(self.polar_rad)) + 0.0,
            "right_deg": float(np.rad2deg(self.azimuth_rad)),
            "away": self.radius,
        }


@dataclass(frozen=True, kw_only=True)
class ViewJob:
    """A picture to sample: guess number `sample` of view number `view`."""

    view: int
    sample: int
    seed: int
    move: Move
    file: str


@dataclass(frozen=True, kw_only=True)
class ViewPlan:
    """All pictures of a photo, and the inputs of their pixels.

    `origin` is the input's camera; `lens` and `hw` are those of the model's views. `decides` holds JSON values: all
    inputs of a picture (photo, model, sampling) except the moves. A picture depends on it, its own move and its
    seed, and the seed on (`seed`, view, sample): never on the pictures beside it.
    """

    moves: tuple[Move, ...]
    samples: int
    seed: int
    origin: Viewpoint
    lens: Lens
    hw: tuple[int, int]
    picture: Picture
    alpha: bool
    decides: Mapping[str, Any]

    @property
    def request(self) -> str:
        """Return 16 digits of all inputs of the pictures, except the moves."""
        parts = (dict(self.decides), self.seed, list(self.hw), self.picture, self.alpha)
        # Of the input's camera only the height reaches the model, as pose slot 4 of models like Stable Zero123.
        return digest_json([*parts, self.origin.polar_rad])

    def jobs(self) -> list[ViewJob]:
        """Return all pictures in order; the first guess of each view has the plain name."""
        return [
            ViewJob(
                view=view,
                sample=sample,
                seed=stable_seed(self.seed, "sample", view, sample),
                move=move,
                file=f"{view:03d}{f'-{sample}' if sample else ''}.{self.picture}",
            )
            for view, move in enumerate(self.moves)
            for sample in range(self.samples)
        ]

    @property
    def input_place(self) -> NDArray[np.float64]:
        """Return (polar_rad, azimuth_rad, radius) of the input's camera; an unknown height is the object's."""
        polar = LEVEL_RAD if self.origin.polar_rad is None else self.origin.polar_rad
        return np.array([polar, self.origin.azimuth_rad, self.origin.radius])

    def cameras(self) -> NDArray[np.float64]:
        """Return `cam_from_world` of each view, (V, 3, 4)."""
        deltas = [[move.polar_rad, move.azimuth_rad, move.radius] for move in self.moves]
        return place_cameras(self.input_place + np.array(deltas))


def poses_of(moves: Sequence[Move]) -> NDArray[np.float64]:
    """Return the model's 4-vectors (N, 4) of moves."""
    polar, azimuth, radius = np.array([[move.polar_rad, move.azimuth_rad, move.radius] for move in moves]).T
    return pose_from_deltas(polar, azimuth, radius)


def moves_of_rig(rig: Rig, origin: Viewpoint, lens: Lens, seed: int) -> list[Move]:
    """Return the rig's cameras as moves from the input's camera; draws depend on `seed` and the camera's number.

    Raises ValueError as `Rig.moves` does.
    """
    rngs = [stable_rng(seed, "rig", number) for number in range(len(rig.cameras))]
    return [
        Move(polar_rad=float(polar), azimuth_rad=float(azimuth), radius=float(radius), name=camera.name)
        for (polar, azimuth, radius), camera in zip(rig.moves(origin, lens, rngs), rig.cameras, strict=True)
    ]


def orbit_moves(count: int) -> list[Move]:
    """Return `count` moves once around, at the input's height and distance; the first is the input's own view."""
    turn = 2.0 * np.pi / count
    return [Move(polar_rad=0.0, azimuth_rad=turn * number, radius=0.0) for number in range(count)]


def within_reach(moves: Sequence[Move], origin: Viewpoint) -> list[Move]:
    """Stop moves over a pole at the pole; with an unknown height the moves stay.

    Beyond a pole the camera would be upside down, unlike every training view.
    """
    if origin.polar_rad is None:
        return list(moves)
    stopped = [min(max(move.polar_rad, -origin.polar_rad), np.pi - origin.polar_rad) for move in moves]
    return [
        Move(polar_rad=float(polar), azimuth_rad=move.azimuth_rad, radius=move.radius, name=move.name)
        for polar, move in zip(stopped, moves, strict=True)
    ]


def picture_digest(rgba: NDArray[np.uint8]) -> str:
    """Return the SHA-256 of a picture's shape and pixels."""
    # Without the shape, a 2 × 8 and a 4 × 4 picture with the same bytes would count as equal.
    return sha256_bytes(f"{rgba.shape}".encode() + np.ascontiguousarray(rgba).tobytes())
