"""The actors: workers that own a Blender child each, and the one that holds the buckets all of them draw from."""

import socket
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from base.errors import Failure
from pipeline.catalog.rows import Attempt
from pipeline.cluster.code import code_digest
from pipeline.fetch.limiter import Buckets, Gate
from pipeline.settings import FetchSettings
from pipeline.work.pack import Packed
from pipeline.work.worker import Job, WorkerSpec

CALL_S = 0.25
"""A call goes on for so long with jobs that take milliseconds each, or calls would cost more than they do."""
ASIDE = "aside"
"""The concurrency group of questions that are answered while a job is at work."""


class Doer(Protocol):
    """What an actor does its jobs with: a `Worker`, or in tests something quicker."""

    phase: str

    def do(self, job: Job) -> Attempt | Packed:
        """See `Worker.do`."""
        ...

    def close(self) -> None:
        """See `Worker.close`."""
        ...


class DoerFactory(Protocol):
    """Makes the doer, in the actor."""

    def __call__(self, spec: WorkerSpec, gate: Gate, /) -> Doer:
        """A doer for these settings, whose requests pass the gate."""
        ...


@dataclass(frozen=True)
class Arrival:
    """Where an actor came to life, and which code runs there."""

    node: str
    host: str
    code: str


class ClusterGate:
    """The gate that all workers of a cluster pass: the actor that `share_buckets` made, found at the first request."""

    def __init__(self, name: str) -> None:
        self._name = name

    def take(self, key: str) -> float:
        """See `Gate`."""
        import ray

        return float(ray.get(self._buckets.take.remote(key)))

    def close(self, key: str, seconds: float) -> None:
        """See `Gate`."""
        import ray

        ray.get(self._buckets.close.remote(key, seconds))

    def closed_s(self, key: str) -> float:
        """See `Gate`."""
        import ray

        return float(ray.get(self._buckets.closed_s.remote(key)))

    @cached_property
    def _buckets(self) -> Any:
        import ray

        return ray.get_actor(self._name)


class RenderWorker:
    """The actor: answers with what happened, and with a sentence where the machine failed."""

    def __init__(self, spec: WorkerSpec, make: DoerFactory) -> None:
        self.doer = make(spec, ClusterGate(buckets_name(spec.fetch)))

    def ready(self) -> Arrival:
        """Where it is, once it is alive."""
        import ray

        return Arrival(ray.get_runtime_context().get_node_id(), socket.gethostname(), code_digest())

    def do(self, jobs: Sequence[Job]) -> list[Attempt | Packed | str]:
        """See `Worker.do`: the first job, and as many more as can be begun soon; without an answer is who was not.

        A Failure comes back as its sentence, and is the last answer.
        """
        answers, until = list[Attempt | Packed | str](), time.monotonic() + CALL_S
        for job in jobs:
            if answers and time.monotonic() > until:
                break
            try:
                answers.append(self.doer.do(job))
            except Failure as failure:
                return [*answers, str(failure)]
        return answers

    def phase(self) -> str:
        """What its job is at just now; to be asked with `options(concurrency_group=ASIDE)`, beside the job."""
        return self.doer.phase

    def close(self) -> None:
        """End the Blender child."""
        self.doer.close()


def render_worker(cpus: float, gpus: float) -> Any:
    """The actor class that asks for so much of a node. Ray starts the actor again, but leaves its lost job to us."""
    import ray

    options: dict[str, Any] = {"max_restarts": -1, "max_task_retries": 0, "concurrency_groups": {ASIDE: 1}}
    return ray.remote(num_cpus=cpus, num_gpus=gpus, **options)(RenderWorker)


def worker_name(builder: str, number: int) -> str:
    """What the cluster calls a worker, by the token of its builder's lease and its number there."""
    return f"worker of {builder}, {number}"


def dismiss_workers_of(builders: Collection[str]) -> None:
    """End what is left of the workers of these builders, on the cluster that this process is joined to."""
    import ray
    from ray.util import list_named_actors

    for known in list_named_actors(all_namespaces=True) if builders else ():
        name, namespace = known["name"], known["namespace"]
        if name.startswith(tuple(worker_name(builder, 0)[:-1] for builder in builders)):
            with suppress(ValueError):  # it has ended meanwhile
                ray.kill(ray.get_actor(name, namespace))


def share_buckets(fetch: FetchSettings) -> None:
    """Have an actor hold the buckets for all builds of the cluster that this process is joined to.

    It stays when the build ends, or the next one would begin with full buckets; on this process's node, which an
    autoscaler does not take away.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    actor: Any = ray.remote(Buckets)
    options: dict[str, Any] = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1, "lifetime": "detached"}
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    actor.options(name=buckets_name(fetch), get_if_exists=True, scheduling_strategy=here, **options).remote(
        fetch.requests, fetch.window_s
    )


def buckets_name(fetch: FetchSettings) -> str:
    """The name of the actor with the buckets: builds of one limit and one code share it."""
    return f"buckets of {fetch.requests} in {fetch.window_s:g} s, {code_digest()}"
