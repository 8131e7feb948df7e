"""How many workers a cluster has room for, and which of its nodes are about to go."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.settings import RunSettings

ROUNDING = 1e-6


@dataclass(frozen=True)
class Room:
    """`slots` workers fit on the nodes that stay; those `leaving` were told that they will be taken away."""

    slots: int
    leaving: frozenset[str]


def room(run: RunSettings) -> Room:
    """The room of the cluster that this process is joined to, just now."""
    import ray
    from ray._private.state import state  # Ray says nowhere else which nodes are draining

    leaving = frozenset(state.get_draining_nodes())
    staying = [node for node in ray.nodes() if node["Alive"] and node["NodeID"] not in leaving]
    return Room(sum(slots(node["Resources"], run) for node in staying), leaving)


def slots(resources: Mapping[str, float], run: RunSettings) -> int:
    """How many workers fit on a node with these resources; a share of a GPU never spans two of them."""
    fits = _times(resources.get("CPU", 0.0), run.cpus_per_worker)
    if run.gpus_per_worker > 0.0:
        gpus, share = resources.get("GPU", 0.0), run.gpus_per_worker
        fits = min(fits, math.floor(gpus) * _times(1.0, share) if share < 1.0 else _times(gpus, share))
    return fits


def _times(whole: float, part: float) -> int:
    return math.floor(whole / part + ROUNDING)
