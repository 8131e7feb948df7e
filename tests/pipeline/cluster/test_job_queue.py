"""The queue of a crew: who comes when, and who is to blame."""

from pipeline.cluster.job_queue import Errands
from pipeline.work.pack import PackJob
from tests.pipeline.stub_worker import stub_jobs


def test_five_losses_are_free_then_alone_then_none() -> None:
    bad, good = stub_jobs("slow", 2)
    errands = Errands(free_losses=5)
    errands.add(bad, soon=False)
    for _ in range(5):
        errand = errands.take(others_at_work=True)
        assert errand is not None
        assert errands.lost(errand)
    errand = errands.take(others_at_work=True)
    assert errand is not None
    assert errands.lost(errand)
    assert len(errands) == 1
    assert errands.take(others_at_work=True) is None, "alone means that nobody else is at work"
    errands.add(good, soon=False)
    healthy = errands.take(others_at_work=False)
    assert healthy is not None
    assert healthy.job is good, "alone comes after all the others"
    last = errands.take(others_at_work=False)
    assert last is not None
    assert last.job is bad
    assert not errands.lost(last)
    assert not len(errands)


def test_what_comes_soon_comes_first_and_what_is_not_kept_never() -> None:
    first, second = stub_jobs("slow", 2)
    errands = Errands(free_losses=0)
    errands.add(first, soon=False)
    errands.add(second, soon=False)
    errands.add(pack := PackJob(3, ()), soon=True)
    errands.keep(lambda job: job is not first)
    assert [errand.job for errand in iter(lambda: errands.take(others_at_work=False), None)] == [pack, second]


def test_objects_go_together_but_not_what_was_lost_or_is_to_be_packed() -> None:
    jobs, errands = stub_jobs("quick", 5), Errands(free_losses=5)
    for job in (*jobs, PackJob(3, ())):
        errands.add(job, soon=False)
    first, second, third = errands.take_some(3, others_at_work=False)
    errands.give_back([second, third])
    assert [errand.job for errand in errands.take_some(2, others_at_work=True)] == jobs[1:3], "as if never taken"
    assert errands.lost(first)
    assert [errand.job for errand in errands.take_some(9, others_at_work=True)] == jobs[3:]
    assert [errand.job for errand in errands.take_some(9, others_at_work=True)] == [PackJob(3, ())]
    assert [errand.job for errand in errands.take_some(9, others_at_work=True)] == jobs[:1]
    assert errands.take_some(9, others_at_work=False) == []
