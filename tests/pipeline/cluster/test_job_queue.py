"""The queue of a crew: who comes when, and who is to blame."""

from pipeline.cluster.job_queue import JobQueue
from pipeline.work.pack import PackJob
from tests.pipeline.stub_worker import stub_jobs


def test_five_losses_are_free_then_alone_then_none() -> None:
    bad, good = stub_jobs("slow", 2)
    queue = JobQueue(free_losses=5)
    queue.add(bad, soon=False)
    for _ in range(5):
        queued = queue.pop(others_busy=True)
        assert queued is not None
        assert queue.requeue_lost(queued)
    queued = queue.pop(others_busy=True)
    assert queued is not None
    assert queue.requeue_lost(queued)
    assert len(queue) == 1
    assert queue.pop(others_busy=True) is None, "alone means that nobody else is at work"
    queue.add(good, soon=False)
    healthy = queue.pop(others_busy=False)
    assert healthy is not None
    assert healthy.job is good, "alone comes after all the others"
    last = queue.pop(others_busy=False)
    assert last is not None
    assert last.job is bad
    assert not queue.requeue_lost(last)
    assert not len(queue)


def test_soon_jobs_come_first_and_dropped_jobs_never() -> None:
    first, second = stub_jobs("slow", 2)
    queue = JobQueue(free_losses=0)
    queue.add(first, soon=False)
    queue.add(second, soon=False)
    queue.add(pack := PackJob(3, ()), soon=True)
    queue.keep(lambda job: job is not first)
    assert [queued.job for queued in iter(lambda: queue.pop(others_busy=False), None)] == [pack, second]


def test_batches_hold_view_jobs_without_losses() -> None:
    jobs, queue = stub_jobs("quick", 5), JobQueue(free_losses=5)
    for job in (*jobs, PackJob(3, ())):
        queue.add(job, soon=False)
    first, second, third = queue.pop_batch(3, others_busy=False)
    queue.requeue_unstarted([second, third])
    assert [queued.job for queued in queue.pop_batch(2, others_busy=True)] == jobs[1:3], "as if never taken"
    assert queue.requeue_lost(first)
    assert [queued.job for queued in queue.pop_batch(9, others_busy=True)] == jobs[3:]
    assert [queued.job for queued in queue.pop_batch(9, others_busy=True)] == [PackJob(3, ())]
    assert [queued.job for queued in queue.pop_batch(9, others_busy=True)] == jobs[:1]
    assert queue.pop_batch(9, others_busy=False) == []
