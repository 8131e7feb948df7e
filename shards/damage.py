"""What is wrong with a sample, and who decides whether that ends the work."""

from collections.abc import Callable
from typing import NoReturn

from base.errors import Failure


class DamagedSample(Failure):
    """A sample is not what it should be: the shard's name, the sample's key, and what is wrong with which part."""

    def __init__(self, shard: str, uid: str, problem: str) -> None:
        super().__init__(f"{shard}: {uid}{problem}")
        self.shard, self.uid, self.problem = shard, uid, problem

    def __reduce__(self) -> tuple[type["DamagedSample"], tuple[str, str, str]]:
        return DamagedSample, (self.shard, self.uid, self.problem)


DamageHandler = Callable[[DamagedSample], None]
"""Is told of damage; returning passes the sample over, raising ends the work."""


def raise_damage(damage: DamagedSample) -> NoReturn:
    """End at the first damage."""
    raise damage


class DamageTolerance:
    """Passes over damaged samples, each told once to `say`; raises Failure for the first beyond `limit`."""

    def __init__(self, limit: int, say: Callable[[str], None]) -> None:
        self.limit, self.say = limit, say
        self.samples: dict[tuple[str, str], DamagedSample] = {}

    def __call__(self, damage: DamagedSample) -> None:
        """See `DamageHandler`."""
        if (key := (damage.shard, damage.uid)) in self.samples:
            return
        if len(self.samples) >= self.limit:
            passed = f", after {self.limit} that were passed over" if self.limit else ""
            raise Failure(f"{damage}{passed}")
        self.samples[key] = damage
        self.say(f"passed over, {len(self.samples)} of at most {self.limit}: {damage}")
