"""The crew: as many workers as the cluster has room for, and what becomes of the jobs that they are given.

Each worker is an actor that owns one Blender child. What an object does to the child is data in an answer; what happens
to an actor or its node is infrastructure, and gives the job back: a few times freely, then once alone, then as lost.
A worker has one job at a time, so that what is in flight is bounded by the crew, and none on a node that is to go away;
of jobs that take milliseconds it has as many as fill a fraction of a second, and gives back what it has not begun then.
"""

import secrets
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from types import TracebackType
from typing import Any, Self

from base.errors import Failure
from pipeline.catalog.rows import Attempt
from pipeline.cluster.actor import (
    ASIDE,
    CALL_S,
    Arrival,
    DoerFactory,
    dismiss_workers_of,
    render_worker,
    share_buckets,
    worker_name,
)
from pipeline.cluster.code import code_digest
from pipeline.cluster.job_queue import Errand, Errands
from pipeline.cluster.metrics import Meters
from pipeline.cluster.room import Room, room
from pipeline.cluster.session import ray_for
from pipeline.cluster.stragglers import AtWork
from pipeline.settings import RunSettings
from pipeline.work.pack import Packed, PackJob
from pipeline.work.worker import Job, ViewJob, Worker, WorkerSpec

TICK_S = 1.0
CLOSE_S = 5.0
ANSWER_S = 1.0
MOST_AT_ONCE = 256
IDLE_S = 60.0
"""A worker without work for so long goes, and its node may: starting Blender anew is cheaper than a machine."""
SPARE = 8
"""So many workers at least, and otherwise as many as there are, wait for room: the demand that an autoscaler sees."""


@dataclass(frozen=True)
class Done:
    """A job that came to an end: with an `answer`, or without one when its workers died too often."""

    job: Job
    answer: Attempt | Packed | None


@dataclass
class _Hand:
    """One actor, and what it is doing: nothing, coming to life (without errands), or some errands, one after another.

    `at` is where it came to life, None before; `since` when it began to do what it does.
    """

    actor: Any
    ref: Any = None
    errands: Sequence[Errand] = ()
    at: Arrival | None = None
    since: float = field(default_factory=time.monotonic)

    def wait_for(self, ref: Any, errands: Sequence[Errand] = ()) -> None:
        self.ref, self.errands, self.since = ref, errands, time.monotonic()


@dataclass
class Crew:
    """A context manager: a Ray, local or joined, and its workers. Jobs go in by `submit`, ends come by `results`.

    `builder` is the token of who it works for.
    """

    run: RunSettings
    spec: WorkerSpec
    make: DoerFactory = Worker
    builder: str = field(default_factory=lambda: secrets.token_hex(8))
    _hands: list[_Hand] = field(default_factory=list)
    _ray: ExitStack = field(default_factory=ExitStack)
    _room: Room = field(default_factory=lambda: Room(0, frozenset()))
    _looked_at: float = 0.0
    _stillborn: int = 0
    _at_once: int = 1
    _fetches: bool = False
    _numbers: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self._errands = Errands(self.run.infrastructure_losses)

    def __enter__(self) -> Self:
        self._is_ours = self._ray.enter_context(ray_for(self.run))
        self._meters, self._code = Meters(), code_digest()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import ray

        try:
            closing = [hand.actor.close.remote() for hand in self._hands if hand.at is not None and error is None]
            if closing:
                ray.wait(closing, num_returns=len(closing), timeout=CLOSE_S)
            for hand in self._hands:
                ray.kill(hand.actor)
        finally:
            self._ray.close()

    @property
    def waiting(self) -> int:
        """How many jobs nobody has begun."""
        return len(self._errands)

    @property
    def in_flight(self) -> int:
        """How many jobs a worker is at."""
        return sum(len(hand.errands) for hand in self._hands)

    @property
    def workers(self) -> int:
        """How many workers have come to life; the others wait for room on the cluster."""
        return sum(hand.at is not None for hand in self._hands)

    @property
    def needs(self) -> str:
        """What a worker needs of a machine, in words."""
        gpus = f" and {self.run.gpus_per_worker:g} GPU" if self.run.gpus_per_worker else ""
        return f"{self.run.cpus_per_worker:g} CPU{gpus}"

    def submit(self, job: Job, *, soon: bool = False) -> None:
        """Queue a job; `soon` puts it before the others."""
        if isinstance(job, ViewJob) and "://" in job.item.location and not self._fetches:
            share_buckets(self.spec.fetch)
            self._fetches = True
        self._errands.add(job, soon=soon)

    def results(self) -> Iterator[Done | None]:
        """Every job's end as it comes, until none is left; None about once a second meanwhile, and for every loss.

        Raises Failure when a worker's machine fails in a way that would fail every object.
        """
        import ray

        while self.waiting or self.in_flight:
            self._look_around()
            self._resize()
            self._hand_out()
            refs = [hand.ref for hand in self._hands if hand.ref is not None]
            finished, _ = ray.wait(refs, num_returns=1, timeout=TICK_S)
            if not finished:
                yield None
            for ref in finished:
                ends = list(self._take(next(hand for hand in self._hands if hand.ref == ref)))
                yield from ends or (None,)

    def follow(self, builders: Collection[str]) -> None:
        """Take the place of builders that fell silent: their workers end, which hold what ours need."""
        dismiss_workers_of(builders)

    def give_up_views(self) -> None:
        """Forget every object, also those at work; what is to be packed stays."""
        import ray

        self._errands.keep(lambda job: isinstance(job, PackJob))
        for hand in [hand for hand in self._hands if hand.errands and isinstance(hand.errands[0].job, ViewJob)]:
            ray.kill(hand.actor)
            self._hands.remove(hand)

    def at_work(self, most: int) -> list[AtWork]:
        """What has been in flight for longest, `most` of it, the longest first."""
        import ray

        now = time.monotonic()
        busy = [(hand, hand.errands[0]) for hand in self._hands if hand.errands]
        oldest = sorted(busy, key=lambda pair: pair[0].since)[:most]
        asked = [hand.actor.phase.options(concurrency_group=ASIDE).remote() for hand, _ in oldest]
        answered, _ = ray.wait(asked, num_returns=len(asked), timeout=ANSWER_S) if asked else ([], [])
        return [
            AtWork(
                errand.job.name,
                _phase(ref) if ref in answered else "",
                now - hand.since,
                hand.at.host if hand.at is not None else "",
            )
            for (hand, errand), ref in zip(oldest, asked, strict=True)
        ]

    def _look_around(self) -> None:
        now = time.monotonic()
        if now - self._looked_at < TICK_S:
            return
        self._looked_at, self._room = now, room(self.run)
        if self._is_ours and not self._room.slots:
            raise Failure(
                f"expected a machine with {self.needs} for each worker (run.cpus_per_worker, run.gpus_per_worker), "
                "got a smaller one"
            )
        self._meters.show(waiting=self.waiting, in_flight=self.in_flight, workers=self.workers, slots=self._room.slots)

    def _leaves(self, hand: _Hand) -> bool:
        return hand.at is not None and hand.at.node in self._room.leaving

    def _resize(self) -> None:
        """Hire up to the work and the room; let go who is on a node that goes, who is not needed, and who idles."""
        now = time.monotonic()
        for hand in [hand for hand in self._hands if hand.ref is None and self._leaves(hand)]:
            self._dismiss(hand)
        surplus = sum(not self._leaves(hand) for hand in self._hands) - self._wanted()
        for _ in range(-surplus):
            self._hire()
        for hand in self._hands[::-1]:
            unborn, idle = hand.at is None and not hand.errands, hand.ref is None and now - hand.since > IDLE_S
            if surplus > 0 and (unborn or idle):
                self._dismiss(hand)
                surplus -= 1

    def _wanted(self) -> int:
        spare = 0 if self._is_ours else max(SPARE, self._room.slots)
        return min(self.run.workers or max(1, self._room.slots + spare), self.in_flight + self.waiting)

    def _hand_out(self) -> None:
        busy = self.in_flight
        for hand in self._hands:
            if hand.ref is None and (errands := self._errands.take_some(self._share(), others_at_work=busy > 0)):
                hand.wait_for(hand.actor.do.remote([errand.job for errand in errands]), errands)
                busy += len(errands)

    def _share(self) -> int:
        """How many jobs a worker gets at once, so that there are some for all."""
        return max(1, min(self._at_once, self.waiting // len(self._hands)))

    def _take(self, hand: _Hand) -> Iterator[Done]:
        import ray

        errands, ref, took_s = hand.errands, hand.ref, time.monotonic() - hand.since
        hand.wait_for(None)
        try:
            answers = ray.get(ref)
        except ray.exceptions.ActorDiedError as error:
            self._stillborn += not errands
            if self._stillborn > self.run.infrastructure_losses:
                room(self.run)  # says so when it is Ray itself that has ended here
                raise Failure(f"workers die before their first job: {' '.join(str(error).split())[:300]}") from None
            self._hands.remove(hand)
            yield from self._lost(errands)
        except _losses():
            hand.at = None
            hand.wait_for(hand.actor.ready.remote())
            yield from self._lost(errands)
        else:
            if isinstance(answers, Arrival):
                self._arrived(hand, answers)
                return
            if isinstance(errands[0].job, ViewJob):
                self._at_once = max(1, min(MOST_AT_ONCE, int(CALL_S * len(errands) / max(took_s, 1e-9))))
            yield from self._answered(errands, answers)

    def _answered(self, errands: Sequence[Errand], answers: Sequence[Attempt | Packed | str]) -> Iterator[Done]:
        self._errands.give_back(errands[len(answers) :])
        for errand, answer in zip(errands, answers, strict=False):
            if isinstance(answer, str):
                raise Failure(answer)
            if isinstance(answer, Attempt):
                self._meters.ended(answer.outcome, answer.seconds)
            yield Done(errand.job, answer)

    def _arrived(self, hand: _Hand, arrival: Arrival) -> None:
        hand.at, self._stillborn = arrival, 0
        if arrival.code != self._code:
            raise Failure(
                f"{arrival.host}: expected the code and packages of the machine that builds ({self._code}), "
                f"got others ({arrival.code}): `ray up` or `ray rsync-up --all-nodes` brings the present ones"
            )

    def _lost(self, errands: Sequence[Errand]) -> Iterator[Done]:
        for errand in errands:
            self._meters.lost()
            if not self._errands.lost(errand):
                yield Done(errand.job, None)

    def _hire(self) -> None:
        actor = render_worker(self.run.cpus_per_worker, self.run.gpus_per_worker)
        named = actor.options(name=worker_name(self.builder, next(self._numbers)))
        hand = _Hand(named.remote(self.spec, self.make))
        hand.wait_for(hand.actor.ready.remote())
        self._hands.append(hand)

    def _dismiss(self, hand: _Hand) -> None:
        """An actor that nobody knows any more ends when its last call has."""
        import ray

        self._hands.remove(hand)
        if hand.at is None:
            ray.kill(hand.actor)
        else:
            hand.actor.close.remote()


def _losses() -> tuple[type[Exception], ...]:
    """What Ray raises when an actor, its node or the machine's memory gave out, and not the job itself."""
    from ray import exceptions

    return (
        *(exceptions.RayActorError, exceptions.NodeDiedError, exceptions.WorkerCrashedError),
        *(exceptions.OutOfMemoryError, exceptions.ObjectLostError, exceptions.ActorUnschedulableError),
    )


def _phase(ref: Any) -> str:
    import ray

    try:
        return str(ray.get(ref))
    except _losses():
        return ""
