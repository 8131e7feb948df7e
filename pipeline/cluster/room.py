"""How many workers a cluster has room for, and which of its nodes are about to go."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from base.errors import Failure
from pipeline.settings import RunSettings

ROUNDING = 1e-6


@dataclass(frozen=True)
class Room:
    """`slots` workers fit on the nodes that stay; those `leaving` were told that they will be taken away."""

    slots: int
    leaving: frozenset[str]


def room(run: RunSettings) -> Room:
    """The room of the cluster that this process is joined to, just now.

    Raises Failure when the node that this process is joined by has ended: it would wait for ever.
    """
    import ray
    from ray._private.state import state  # Ray says nowhere else which nodes are draining

    leaving = frozenset(state.get_draining_nodes())
    alive = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}
    if ray.get_runtime_context().get_node_id() not in alive:
        raise Failure("Ray has ended on this machine; start it again and run the same command again")
    staying = [node for name, node in alive.items() if name not in leaving]
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
