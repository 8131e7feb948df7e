"""The cameras asked for, the same for every picture: moves, an orbit and a rig."""

from dataclasses import dataclass

from base.errors import UsageError
from geometry.camera import Lens
from geometry.rig import Rig, Viewpoint
from inference.plan import Move, moves_of_rig, orbit_moves, within_reach

MAX_VIEWS = 999


@dataclass(frozen=True, kw_only=True)
class AskedCameras:
    """Views are numbered in this order: `moves`, `orbit` views once around, `rig`. `seed` decides the rig's draws.

    `rig_name` is for messages.
    """

    moves: tuple[Move, ...]
    orbit: int
    rig: Rig | None
    seed: int
    rig_name: str = ""

    def __len__(self) -> int:
        return len(self.moves) + self.orbit + (len(self.rig.cameras) if self.rig is not None else 0)

    def moves_from(self, origin: Viewpoint, lens: Lens) -> tuple[Move, ...]:
        """Return the moves from the input's camera at `origin`. Raises UsageError when there are none or too many."""
        if self.orbit < 0 or not len(self):
            raise UsageError("expected --move UP,RIGHT, --orbit N with N ≥ 1 or --rig NAME")
        moves = [*self.moves, *(orbit_moves(self.orbit) if self.orbit else [])]
        if self.rig is not None:
            try:
                moves += moves_of_rig(self.rig, origin, lens, self.seed)
            except ValueError as error:
                raise UsageError(f"--rig {self.rig_name}: {error}") from None
        if len(moves) > MAX_VIEWS:
            raise UsageError(f"expected at most {MAX_VIEWS} views, got {len(moves)}")
        # A camera at or beyond the middle would see the object from inside.
        if (nearest := min(origin.radius + move.radius for move in moves)) <= 0.0:
            raise UsageError(f"expected cameras away from the object's middle, got a distance of {nearest:g}")
        return tuple(within_reach(moves, origin))
