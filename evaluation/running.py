"""Score all objects of a protocol in one process or several, keeping each result as soon as it is there."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

from base.errors import UsageError
from base.progress import Progress
from evaluation.datasets.open import open_dataset
from evaluation.results import ObjectResult, write_result
from evaluation.score_workers import score_in_processes
from evaluation.scoring import Scorer, ScoringJob


def objects_of(job: ScoringJob) -> tuple[str, ...]:
    """Return the uids that the protocol measures: those it lists, or all of the data set."""
    return job.protocol.data.objects or open_dataset(job.protocol.data.loader, job.data).uids()


def score_objects(job: ScoringJob, workers: int, progress: Progress) -> list[ObjectResult]:
    """Return the results of all objects in the order of their uids; finished ones are read, others measured.

    Each worker has a single thread, so the number of workers does not affect the figures. An object counts as failed
    after its worker has died twice.
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
    if workers > 1 and len(uids) > 1:
        yield from score_in_processes(job, uids, workers)
        return
    # Sums over several threads differ in their last digits, and figures must not depend on the workers.
    with _one_thread() if job.networks.given else nullcontext():
        for uid in uids:
            result = scorer.score(uid)
            write_result(job.rows, result)
            yield result


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
