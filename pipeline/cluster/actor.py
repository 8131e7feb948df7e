"""Ray actors: workers with a stage each, and the holder of the shared rate-limit buckets."""

import socket
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from base.errors import Failure
from pipeline.catalog.rows import Attempt
from pipeline.cluster.code import code_digest
from pipeline.fetch.limiter import Buckets, Gate
from pipeline.settings import FetchSettings
from pipeline.work.pack import PackResult
from pipeline.work.worker import ItemJob, Job, WorkerSpec

CALL_S = 0.25
"""A call takes further jobs for this long. One call per millisecond job would cost more than the job."""
STATUS_GROUP = "status"
"""The concurrency group of questions answered while a job runs."""


class JobRunner(Protocol):
    """The interface of `Worker`, as an actor uses it. Tests substitute something quicker."""

    phase: str

    def do(self, job: Job) -> Attempt | PackResult:
        """See `Worker.do`."""
        ...

    def do_together(self, jobs: Sequence[ItemJob]) -> Sequence[Attempt]:
        """See `Worker.do_together`. Called only for a stage of several `items_at_once`."""
        ...

    def close(self) -> None:
        """See `Worker.close`."""
        ...


class RunnerFactory(Protocol):
    """Makes the job runner inside the actor."""

    def __call__(self, spec: WorkerSpec, gate: Gate, /) -> JobRunner:
        """Make a job runner for these settings; its requests pass the gate."""
        ...


@dataclass(frozen=True)
class WorkerInfo:
    """The node and host of a started actor, and the digest of its code."""

    node: str
    host: str
    code: str


class ClusterGate:
    """The rate limit shared by all workers of a cluster: the actor made by `start_shared_buckets`."""

    def __init__(self, name: str) -> None:
        self._name = name

    def take(self, key: str) -> float:
        """See `Gate`."""
        import ray

        return float(ray.get(self._buckets.take.remote(key)))

    def close(self, key: str, seconds: float) -> None:
        """See `Gate`."""
        import ray

        # Waited for: the next request must find the bucket closed.
        ray.get(self._buckets.close.remote(key, seconds))

    def closed_s(self, key: str) -> float:
        """See `Gate`."""
        import ray

        return float(ray.get(self._buckets.closed_s.remote(key)))

    @cached_property
    def _buckets(self) -> Any:
        import ray

        # Found at the first request: builds from local folders start no buckets.
        return ray.get_actor(self._name)


class RenderWorker:
    """The actor around a job runner. It answers with results, or with a message when its machine failed."""

    def __init__(self, spec: WorkerSpec, make: RunnerFactory) -> None:
        # Made here, in the actor's process: a stage's child cannot be sent between processes.
        self.spec, self.runner = spec, make(spec, ClusterGate(buckets_name(spec.fetch)))

    def ready(self) -> WorkerInfo:
        """Describe this worker, once it is alive."""
        import ray

        stage = self.spec.stage
        return WorkerInfo(
            ray.get_runtime_context().get_node_id(), socket.gethostname(), code_digest(stage.rooms, stage.packages)
        )

    def do(self, jobs: Sequence[Job]) -> list[Attempt | PackResult | str]:
        """Do the first job, then further ones for `CALL_S`. Returns an answer per started job, in order.

        A Failure is returned as its message, as the last answer.
        """
        answers, until = list[Attempt | PackResult | str](), time.monotonic() + CALL_S
        for group in self._groups(jobs):
            # The first job always runs: otherwise a slow call could hand back all jobs for ever.
            if answers and time.monotonic() > until:
                break
            try:
                together = [job for job in group if isinstance(job, ItemJob)]
                answers += self.runner.do_together(together) if len(together) > 1 else map(self.runner.do, group)
            except Failure as failure:
                # As text: an exception would reach the driver in Ray's wrapping, and lose the answers before it.
                return [*answers, str(failure)]
        return answers

    def _groups(self, jobs: Sequence[Job]) -> Iterator[Sequence[Job]]:
        """Divide item jobs into those that the stage takes together. A pack job always comes alone."""
        size = self.spec.stage.items_at_once
        return (jobs[start : start + size] for start in range(0, len(jobs), size))

    def phase(self) -> str:
        """Return the phase of the running job. Call it with `options(concurrency_group=STATUS_GROUP)`."""
        return self.runner.phase

    def close(self) -> None:
        """End what the runner has started."""
        self.runner.close()


def worker_actor_class(cpus: float, gpus: float) -> Any:
    """Return the actor class for these resources. Ray restarts the actor; the crew queues its lost job again."""
    import ray

    # Ray would repeat a call without counting, so an object that kills its worker would be tried for ever. The crew
    # counts. A group of its own lets `phase` answer while `do` runs.
    options: dict[str, Any] = {"max_restarts": -1, "max_task_retries": 0, "concurrency_groups": {STATUS_GROUP: 1}}
    return ray.remote(num_cpus=cpus, num_gpus=gpus, **options)(RenderWorker)


def worker_name(builder: str, number: int) -> str:
    """Return a worker's name on the cluster: the token of its builder's lease, and its number."""
    # With a name, the next holder of the lease can find and end the workers of a dead builder.
    return f"worker of {builder}, {number}"


def kill_workers_of(builders: Collection[str]) -> None:
    """Kill the remaining workers of these builders on the joined cluster."""
    import ray
    from ray.util import list_named_actors

    for actor in list_named_actors(all_namespaces=True) if builders else ():
        name, namespace = actor["name"], actor["namespace"]
        # Without the number. The comma before it ends the token, so no builder matches the longer token of another.
        if name.startswith(tuple(worker_name(builder, 0)[:-1] for builder in builders)):
            # By name, because the handles died with the builder that held them.
            with suppress(ValueError):  # ended meanwhile
                ray.kill(ray.get_actor(name, namespace))


def start_shared_buckets(fetch: FetchSettings) -> None:
    """Start the holder of the rate-limit buckets, shared by all builds on the joined cluster.

    It outlives the build, because the next build must not begin with full buckets. It runs on this process's node,
    because an autoscaler keeps it.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    actor: Any = ray.remote(Buckets)
    options: dict[str, Any] = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1, "lifetime": "detached"}
    # Soft: should this node end, the buckets may restart on another instead of failing every request.
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    actor.options(name=buckets_name(fetch), get_if_exists=True, scheduling_strategy=here, **options).remote(
        fetch.requests, fetch.window_s
    )


def buckets_name(fetch: FetchSettings) -> str:
    """Return the name of the buckets' actor. Builds with the same limit and code share it."""
    # An actor runs the code it was started with, and a newer build may call it otherwise.
    return f"buckets of {fetch.requests} in {fetch.window_s:g} s, {code_digest()}"
