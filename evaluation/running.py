"""Score all objects of a protocol in one process, in several, or on a crew, keeping each result at once."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from base.errors import UsageError
from base.progress import Progress, Task
from evaluation.datasets.open import open_dataset
from evaluation.results import ObjectResult, write_result
from evaluation.score_workers import score_in_processes
from evaluation.scoring import Scorer, ScoringJob

if TYPE_CHECKING:
    from evaluation.score_crew import CrewSettings


def objects_of(job: ScoringJob) -> tuple[str, ...]:
    """Return the uids that the protocol measures: those it lists, or all of the data set."""
    return job.protocol.data.objects or open_dataset(job.protocol.data.loader, job.data).uids()


def score_objects(job: ScoringJob, workers: "int | CrewSettings", progress: Progress) -> list[ObjectResult]:
    """Return the results of all objects in the order of their uids; finished ones are read, others measured.

    `workers` is the number of processes, or the settings of a crew. Each worker has a single thread, so neither affects
    the figures. An object counts as failed after its workers have died too often.
    """
    if isinstance(workers, int) and workers < 1:
        raise UsageError(f"--workers: expected at least 1, got {workers}")
    uids = objects_of(job)
    scorer = Scorer(job)
    done = {uid: result for uid in uids if (result := scorer.finished(uid)) is not None}
    missing = [uid for uid in uids if uid not in done]
    job.rows.mkdir(parents=True, exist_ok=True)
    with progress.task("score", total=len(uids), unit="objects", done=len(done)) as task:
        for result in _measure(scorer, missing, workers, progress, task):
            done[result.uid] = result
            task.advance(note=result.uid if result.status == "ok" else f"{result.uid}: {result.reason}")
    return [done[uid] for uid in uids]


def _measure(
    scorer: Scorer, uids: Sequence[str], workers: "int | CrewSettings", progress: Progress, task: Task
) -> Iterator[ObjectResult]:
    job = scorer.job
    if not isinstance(workers, int):
        # Only here: the tables of the catalogue take a while to import.
        from evaluation.score_crew import score_on_crew
        from pipeline.report.messages import BuildMessages

        # Without work no Ray is started.
        if uids:
            yield from score_on_crew(job, uids, workers, BuildMessages(progress, task))
        return
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
