"""Score all objects of a protocol in one process or several, keeping each result as soon as it is there."""

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from dataclasses import replace

from base.errors import Failure, UsageError
from base.progress import Progress
from evaluation.datasets.open import open_dataset
from evaluation.picture_metrics import Networks
from evaluation.results import ObjectResult, write_result
from evaluation.scoring import Scorer, ScoringJob

_scorers: list[Scorer] = []
"""The scorer of a worker process, made once."""


def objects_of(job: ScoringJob) -> tuple[str, ...]:
    """Return the uids that the protocol measures: those it lists, or all of the data set."""
    return job.protocol.data.objects or open_dataset(job.protocol.data.loader, job.data).uids()


def score_objects(job: ScoringJob, workers: int, progress: Progress) -> list[ObjectResult]:
    """Return the results of all objects in the order of their uids; finished ones are read, others measured.

    Each worker computes in a single thread, so that a figure does not depend on their number. Raises Failure when a
    worker dies; the results so far are kept.
    """
    if workers < 1:
        raise UsageError(f"--workers: expected at least 1, got {workers}")
    uids = objects_of(job)
    scorer = Scorer(job)
    done = {uid: result for uid in uids if (result := scorer.finished(uid)) is not None}
    missing = [uid for uid in uids if uid not in done]
    job.rows.mkdir(parents=True, exist_ok=True)
    with progress.task("score", total=len(uids), unit="objects", done=len(done)) as task:
        for result in _measure(job, scorer, missing, workers):
            done[result.uid] = result
            task.advance(note=result.uid if result.status == "ok" else f"{result.uid}: {result.reason}")
    return [done[uid] for uid in uids]


def _measure(job: ScoringJob, scorer: Scorer, uids: Sequence[str], workers: int) -> Iterator[ObjectResult]:
    if workers == 1 or len(uids) < 2:
        # Sums over several threads differ in their last digits, and figures must not depend on the workers.
        with _one_thread() if job.networks.given else nullcontext():
            for uid in uids:
                yield _score_and_write(scorer, uid)
        return
    # Without the networks that this process has loaded: each worker reads its own.
    sent = replace(job, networks=Networks(job.networks.lpips, job.networks.clip))
    # A fork would copy the locks of torch's threads; a new process has none.
    pool = ProcessPoolExecutor(min(workers, len(uids)), multiprocessing.get_context("spawn"), _prepare_worker, (sent,))
    try:
        yield from pool.map(_score_in_worker, uids)
    except BrokenProcessPool:
        raise Failure(
            "expected workers to live, but a worker was killed; the same command goes on from there"
        ) from None
    finally:
        # After Ctrl-C, waiting objects are not begun.
        pool.shutdown(cancel_futures=True)


def _score_and_write(scorer: Scorer, uid: str) -> ObjectResult:
    result = scorer.score(uid)
    write_result(scorer.job.rows, result)
    return result


def _prepare_worker(job: ScoringJob) -> None:
    # Ctrl-C reaches the whole group of processes; the parent alone answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["OMP_NUM_THREADS"] = "1"
    if job.networks.given:  # torch takes seconds to load, and other metrics do without it
        import torch

        torch.set_num_threads(1)
    _scorers[:] = [Scorer(job)]


def _score_in_worker(uid: str) -> ObjectResult:
    return _score_and_write(_scorers[0], uid)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch compute in a single thread inside a block."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
