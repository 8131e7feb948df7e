"""Damaged samples, and the policies for them: stop, or skip up to a limit."""

from collections.abc import Callable
from typing import NoReturn

from base.errors import Failure


class DamagedSample(Failure):
    """A sample is damaged. The message names its shard, its uid, and the damaged part with the problem."""

    def __init__(self, shard: str, uid: str, problem: str) -> None:
        super().__init__(f"{shard}: {uid}{problem}")
        self.shard, self.uid, self.problem = shard, uid, problem

    def __reduce__(self) -> tuple[type["DamagedSample"], tuple[str, str, str]]:
        # Exceptions cross processes by their message alone, and the constructor wants three parts.
        return DamagedSample, (self.shard, self.uid, self.problem)


DamageHandler = Callable[[DamagedSample], None]
"""Called with each damage. It returns to skip the sample, or raises to end the work."""


def raise_damage(damage: DamagedSample) -> NoReturn:
    """Raise every damage, which ends the work at the first."""
    raise damage


class DamageTolerance:
    """Skips damaged samples and reports each once to `say`. Raises Failure at the first sample beyond `limit`."""

    def __init__(self, limit: int, say: Callable[[str], None]) -> None:
        self.limit, self.say = limit, say
        self.samples: dict[tuple[str, str], DamagedSample] = {}

    def __call__(self, damage: DamagedSample) -> None:
        """See `DamageHandler`."""
        # A sample returns in every epoch, but counts once.
        if (key := (damage.shard, damage.uid)) in self.samples:
            return
        if len(self.samples) >= self.limit:
            passed = f", after {self.limit} that were passed over" if self.limit else ""
            raise Failure(f"{damage}{passed}")
        self.samples[key] = damage
        self.say(f"passed over, {len(self.samples)} of at most {self.limit}: {damage}")
