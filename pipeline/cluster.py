"""The crew that does the work, on Ray: the only module that imports it.

Each worker is an actor that owns one Blender child. What an object does to the child is data in an answer; what happens
to an actor or its node is infrastructure, and gives the job back: a few times freely, then once alone, then as lost.
"""

import fcntl
import logging
import math
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from base.errors import Failure
from pipeline.limiter import Buckets
from pipeline.pack import Packed
from pipeline.rows import Attempt
from pipeline.settings import RunSettings
from pipeline.worker import Job, ViewJob, Worker, WorkerSpec

TICK_S = 1.0
CLOSE_S = 5.0
CONNECT_S = 10.0
FOLDER_PREFIX, LOCK = "z123-", "alive"
SOCKET_PATH_LIMIT = 40
"""Ray puts sockets some 60 characters below its folder, and a socket's path may have 107."""
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_USAGE_STATS_REPORT_URL": "http://127.0.0.1:9/",
    "RAY_SCHEDULER_EVENTS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}

SILENT: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False, "namespace": "zero123"}


@dataclass(frozen=True)
class Done:
    """A job that came to an end: with an `answer`, or without one when its workers died too often."""

    job: Job
    answer: Attempt | Packed | None


@dataclass
class _Errand:
    job: Job
    losses: int = 0


@dataclass
class _Hand:
    """One actor, and what it is doing: nothing, coming to life (`errand` None), or an errand."""

    actor: Any
    ref: Any = None
    errand: _Errand | None = None


@dataclass(frozen=True)
class _ClusterGate:
    """The gate that all workers of a build pass: an actor that holds the buckets."""

    buckets: Any

    def take(self, key: str) -> float:
        """See `Gate`."""
        import ray

        return float(ray.get(self.buckets.take.remote(key)))

    def close(self, key: str, seconds: float) -> None:
        """See `Gate`."""
        import ray

        ray.get(self.buckets.close.remote(key, seconds))

    def closed_s(self, key: str) -> float:
        """See `Gate`."""
        import ray

        return float(ray.get(self.buckets.closed_s.remote(key)))


class RenderWorker:
    """The actor: answers with what happened, and with a sentence where the machine failed."""

    def __init__(self, spec: WorkerSpec, buckets: Any) -> None:
        alone = Buckets(spec.fetch.requests, spec.fetch.window_s)
        self.worker = Worker(spec, _ClusterGate(buckets) if buckets is not None else alone)

    def ready(self) -> None:
        """Returns when the actor is alive."""

    def do(self, job: Job) -> Attempt | Packed | str:
        """See `Worker.do`; a Failure comes back as its sentence."""
        try:
            return self.worker.do(job)
        except Failure as failure:
            return str(failure)

    def close(self) -> None:
        """End the Blender child."""
        self.worker.close()


@dataclass
class Crew:
    """A context manager: a Ray, local or joined, and its workers. Jobs go in by `submit`, ends come by `results`."""

    run: RunSettings
    spec: WorkerSpec
    _queue: deque[_Errand] = field(default_factory=deque)
    _alone: deque[_Errand] = field(default_factory=deque)
    _hands: list[_Hand] = field(default_factory=list)
    _ray: ExitStack = field(default_factory=ExitStack)
    _stillborn: int = 0
    _buckets: Any = None

    def __enter__(self) -> Self:
        self._ray.enter_context(ray_for(self.run))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import ray

        try:
            if error is None and self._hands:
                ray.wait(
                    [hand.actor.close.remote() for hand in self._hands], num_returns=len(self._hands), timeout=CLOSE_S
                )
            for hand in self._hands:
                ray.kill(hand.actor)
            if self._buckets is not None:
                ray.kill(self._buckets)
        finally:
            self._ray.close()

    def submit(self, job: Job, *, soon: bool = False) -> None:
        """Queue a job; `soon` puts it before the others."""
        if isinstance(job, ViewJob) and "://" in job.item.location and self._buckets is None:
            self._buckets = self._shared_buckets()
        (self._queue.appendleft if soon else self._queue.append)(_Errand(job))

    def results(self) -> Iterator[Done | None]:
        """Every job's end as it comes, until none is left; None about once a second meanwhile.

        Raises Failure when a worker's machine fails in a way that would fail every object.
        """
        import ray

        while self._queue or self._alone or any(hand.errand for hand in self._hands):
            self._hand_out()
            refs = [hand.ref for hand in self._hands if hand.ref is not None]
            finished, _ = ray.wait(refs, num_returns=1, timeout=TICK_S)
            if not finished:
                yield None
            for ref in finished:
                done = self._take(next(hand for hand in self._hands if hand.ref == ref))
                if done is not None:
                    yield done

    def _hand_out(self) -> None:
        wanted = self._wanted()
        while len(self._hands) < wanted:
            self._hands.append(self._hire())
        busy = sum(hand.errand is not None for hand in self._hands)
        for hand in self._hands:
            if hand.ref is not None:
                continue
            if self._queue:
                hand.errand = self._queue.popleft()
            elif self._alone and busy == 0:
                hand.errand = self._alone.popleft()
            else:
                continue
            busy += 1
            hand.ref = hand.actor.do.remote(hand.errand.job)

    def _wanted(self) -> int:
        import ray

        cpus = ray.cluster_resources().get("CPU", 1.0)
        most = self.run.workers or max(1, int(cpus // self.run.cpus_per_worker))
        busy = sum(hand.errand is not None for hand in self._hands)
        return max(len(self._hands), min(most, busy + len(self._queue) + len(self._alone)))

    def _take(self, hand: _Hand) -> Done | None:
        import ray

        errand, ref = hand.errand, hand.ref
        hand.errand = hand.ref = None
        try:
            answer = ray.get(ref)
        except ray.exceptions.ActorDiedError as error:
            self._stillborn += errand is None
            if self._stillborn > self.run.infrastructure_losses:
                raise Failure(f"workers die before their first job: {' '.join(str(error).split())[:300]}") from None
            self._hands[self._hands.index(hand)] = self._hire()
            return self._lost(errand)
        except ray.exceptions.RayActorError:
            hand.ref = hand.actor.ready.remote()
            return self._lost(errand)
        if errand is None:
            self._stillborn = 0
            return None
        if isinstance(answer, str):
            raise Failure(answer)
        return Done(errand.job, answer)

    def _lost(self, errand: _Errand | None) -> Done | None:
        if errand is None:
            return None
        errand.losses += 1
        if errand.losses > self.run.infrastructure_losses + 1:
            return Done(errand.job, None)
        (self._alone if errand.losses > self.run.infrastructure_losses else self._queue).append(errand)
        return None

    def _shared_buckets(self) -> Any:
        import ray

        actor: Any = ray.remote(Buckets)
        free = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1}
        return actor.options(**free).remote(self.spec.fetch.requests, self.spec.fetch.window_s)

    def _hire(self) -> _Hand:
        import ray

        options = {
            "num_cpus": self.run.cpus_per_worker,
            "num_gpus": self.run.gpus_per_worker,
            "max_restarts": -1,
            "max_task_retries": 0,
        }
        actor: Any = ray.remote(RenderWorker)
        actor = actor.options(**options).remote(self.spec, self._buckets)
        return _Hand(actor, actor.ready.remote())


@contextmanager
def ray_for(run: RunSettings) -> Iterator[None]:
    """A Ray to work on: the one this process is joined to already, the one at `run.address`, or a local one of its own.

    Raises Failure when there is no cluster at the address. What was started here ends here.
    """
    address = run.address or os.environ.get("RAY_ADDRESS", "")
    _prepare_environment(local=not address)
    import ray

    if ray.is_initialized():
        yield
        return
    with ExitStack() as stack:
        handler = signal.getsignal(signal.SIGTERM)
        folder = None if address else stack.enter_context(_ray_folder())
        stack.callback(_shut_down)
        if folder is None:
            _join(address)
        else:
            _start_local(run, folder)
        _restore(handler)
        yield


def _shut_down() -> None:
    import ray

    handler = signal.getsignal(signal.SIGTERM)
    ray.shutdown()
    _restore(handler)


def _prepare_environment(*, local: bool) -> None:
    """Make sure that Ray, which reads these when it is imported, reports to nobody and, if ours, asks for a token."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if local and "RAY_AUTH_MODE" not in os.environ:
        os.environ["RAY_AUTH_MODE"] = "token"


def _join(address: str) -> None:
    import ray

    host, _, port = address.rpartition(":")
    try:
        if host and port.isdecimal() and "/" not in host:
            socket.create_connection((host, int(port)), CONNECT_S).close()  # Ray itself would try for minutes
        ray.init(address=address, **SILENT)
    except (OSError, RuntimeError, ValueError, OverflowError) as error:
        sentence = " ".join(str(error).split())[:300]
        raise Failure(f"run.address: expected a Ray cluster at {address!r}, got: {sentence}") from None


def _start_local(run: RunSettings, folder: Path) -> None:
    import ray

    if os.environ.get("RAY_AUTH_MODE") == "token":
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    asked = math.ceil(run.workers * run.cpus_per_worker)
    with _exported("PYTHONPATH", os.pathsep.join(_import_paths())):
        ray.init(
            num_cpus=max(1, os.cpu_count() or 1, asked),
            include_dashboard=False,
            object_store_memory=run.object_store_mb << 20,
            _temp_dir=str(folder),
            **SILENT,
        )


@contextmanager
def _exported(name: str, value: str) -> Iterator[None]:
    """An environment variable for the processes started meanwhile: quicker than Ray's runtime environments."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


@contextmanager
def _ray_folder() -> Iterator[Path]:
    """A folder for a local Ray's files, locked while this process lives; those of processes that were killed go."""
    parent = Path(tempfile.gettempdir() if len(tempfile.gettempdir()) <= SOCKET_PATH_LIMIT else "/tmp")  # noqa: S108
    for left in parent.glob(f"{FOLDER_PREFIX}*/{LOCK}"):
        with suppress(OSError), left.open("rb+") as stream:
            if left.stat().st_uid == os.getuid() and _locks(stream):
                shutil.rmtree(left.parent, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=parent))
    with (folder / LOCK).open("ab") as stream:
        _locks(stream)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _locks(stream: IO[bytes]) -> bool:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _import_paths() -> list[str]:
    """Where this process finds its modules, so that a worker finds the same ones."""
    ours = str(Path(__file__).resolve().parents[1])
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return list(dict.fromkeys(path for path in (ours, *given) if path and path in (ours, *sys.path)))


def _restore(handler: Any) -> None:
    """Ray takes SIGTERM for itself; give it back to whoever had it."""
    try:
        signal.signal(signal.SIGTERM, handler)
    except (ValueError, TypeError):
        return  # not the main thread, or a handler that was not set from Python
