"""Score objects in several processes, each with a single object at a time, so that it is known whose worker died.

A lost object runs again, alone: another may have filled the memory. Lost twice, it counts as failed. A worker ends with
its parent, even if the parent is killed.
"""

import multiprocessing
import os
import signal
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from typing import Any, cast

from base.errors import Failure
from evaluation.results import ObjectResult, write_result
from evaluation.scoring import ScoringJob, start_scorer

READY = "ready"
JOIN_S = 5.0
TRIES = 2
"""An object is measured at most so often if its workers die."""


@dataclass
class _Worker:
    """A process, our end of its pipe, and the object it measures; empty when it is idle."""

    process: ForkServerProcess
    pipe: "Connection[Any, Any]"
    uid: str = ""

    def give(self, uid: str, reason: str = "") -> None:
        """Let it measure an object, or count the object as failed for a `reason`."""
        self.uid = uid
        with suppress(OSError):  # a dead worker is noticed by its answer
            self.pipe.send((uid, reason))

    def end(self) -> str:
        """End the process; return how it ended."""
        self.pipe.close()
        self.process.join(0.0 if self.uid else JOIN_S)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
        code = self.process.exitcode or 0
        return f"signal {-code}" if code < 0 else f"exit code {code}"


def score_in_processes(job: ScoringJob, uids: Sequence[str], workers: int) -> Iterator[ObjectResult]:
    """Yield the results of objects as they are measured, and keep each in `job.rows`.

    The result of a lost object is not kept: the same command tries it again. Raises Failure when a worker cannot start.
    """
    waiting, alone, losses = deque(uids), deque[str](), defaultdict[str, list[str]](list)
    crew = [_start(job) for _ in range(min(workers, len(uids)))]
    try:
        for worker in crew:
            _await_start(worker)
        while busy := _give_work(crew, waiting, alone, losses):
            ready = wait([worker.pipe for worker in busy])
            for worker in [worker for worker in busy if worker.pipe in ready]:
                uid, answer = worker.uid, _answer(worker)
                if answer:
                    yield answer
                    continue
                losses[uid].append(worker.end())
                crew[crew.index(worker)] = replacement = _start(job)
                _await_start(replacement)
                if len(losses[uid]) > TRIES:
                    yield ObjectResult(uid, "", "unusable", _lost(losses[uid]), ())
                else:
                    alone.append(uid)
    finally:
        for worker in crew:
            worker.end()


def _give_work(
    crew: Sequence[_Worker], waiting: deque[str], alone: deque[str], losses: Mapping[str, list[str]]
) -> list[_Worker]:
    """Give idle workers what waits; lost objects come last, and only while no other worker is busy."""
    for worker in crew:
        if not worker.uid and waiting:
            worker.give(waiting.popleft())
    if alone and not any(worker.uid for worker in crew):
        uid = alone.popleft()
        crew[0].give(uid, _lost(losses[uid]) if len(losses[uid]) == TRIES else "")
    return [worker for worker in crew if worker.uid]


def _lost(ends: Sequence[str]) -> str:
    return f"expected a figure, but its worker ended {len(ends)} times, last with {ends[-1]}"


def _answer(worker: _Worker) -> ObjectResult | None:
    """Return the result of a worker, None if it has died. Raises what ended its measurement."""
    try:
        answer = worker.pipe.recv()
    except (EOFError, OSError):
        return None
    worker.uid = ""
    if isinstance(answer, Exception):
        raise answer
    return cast(ObjectResult, answer)


def _start(job: ScoringJob) -> _Worker:
    # A fork of this process would copy the locks of its threads. The server of forks has no threads, and what takes a
    # second to load, or five with torch, is loaded there once for all workers.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, *(["evaluation.images.lpips"] if job.networks.given else [])])
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(job.sendable(), theirs), daemon=True)
    process.start()
    # With our copy open, the pipe of a dead worker would never end.
    theirs.close()
    return _Worker(process, ours)


def _await_start(worker: _Worker) -> None:
    try:
        worker.pipe.recv()
    except (EOFError, OSError):
        raise Failure(f"expected a process for scoring to start, got {worker.end()}") from None


def _work(job: ScoringJob, pipe: "Connection[Any, Any]") -> None:
    """Measure what comes through the pipe until it ends, as it does with the parent."""
    # Ctrl-C reaches the whole group of processes; the parent alone answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["OMP_NUM_THREADS"] = "1"
    scorer = start_scorer(job)
    with suppress(EOFError, BrokenPipeError):
        pipe.send(READY)
        while True:
            uid, reason = pipe.recv()
            try:
                result = scorer.count_as_failed(uid, reason) if reason else scorer.score(uid)
                if not reason:
                    write_result(job.rows, result)
                pipe.send(result)
            except (Failure, OSError) as error:
                pipe.send(error)
