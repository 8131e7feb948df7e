"""How many workers fit on a cluster, and the nodes it drains."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from base.errors import Failure
from pipeline.settings import RunSettings

ROUNDING = 1e-6


@dataclass(frozen=True)
class Capacity:
    """`slots` workers fit on the remaining nodes. Nodes in `leaving` are draining and get no new job."""

    slots: int
    leaving: frozenset[str]


def cluster_capacity(run: RunSettings) -> Capacity:
    """Return the present capacity of the joined cluster.

    Raises Failure when Ray has ended on this machine, because calls to it would wait for ever.
    """
    import ray
    from ray._private.state import state  # no public API lists draining nodes

    leaving = frozenset(state.get_draining_nodes())
    alive = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}
    if ray.get_runtime_context().get_node_id() not in alive:
        raise Failure("Ray has ended on this machine; start it again and run the same command again")
    staying = [node for name, node in alive.items() if name not in leaving]
    return Capacity(sum(count_slots(node["Resources"], run) for node in staying), leaving)


def count_slots(resources: Mapping[str, float], run: RunSettings) -> int:
    """Count the workers a node with these resources can hold. A share of a GPU never spans two GPUs."""
    fits = _times(resources.get("CPU", 0.0), run.cpus_per_worker)
    if run.gpus_per_worker > 0.0:
        gpus, share = resources.get("GPU", 0.0), run.gpus_per_worker
        # 0.4 of a GPU fits four times on two GPUs, although 2 / 0.4 is five.
        fits = min(fits, math.floor(gpus) * _times(1.0, share) if share < 1.0 else _times(gpus, share))
    return fits


def _times(whole: float, part: float) -> int:
    # 0.3 / 0.1 is 2.9999999999999996.
    return math.floor(whole / part + ROUNDING)
