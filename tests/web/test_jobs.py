"""The queue of jobs by itself."""

import gc
import threading
import weakref
from collections.abc import Callable

from base.progress import Progress
from web.jobs import Job, Jobs, State


class Photo:
    """What the work of a job holds."""


def job_about(photo: Photo, name: str, before: Callable[[], object] = list) -> Job:
    def work(_: Progress) -> dict[str, object]:
        before()
        return {"photo": type(photo).__name__}

    return Job(name, "view", "client", work, short=True)


def test_ended_jobs_hold_nothing_of_their_work() -> None:
    jobs, may_go = Jobs(most=9, most_per_client=9), threading.Event()
    done_photo, cancelled_photo = Photo(), Photo()
    held = [weakref.ref(done_photo), weakref.ref(cancelled_photo)]
    done = jobs.submit(job_about(done_photo, "done", may_go.wait))
    cancelled = jobs.submit(job_about(cancelled_photo, "cancelled"))
    del done_photo, cancelled_photo
    jobs.cancel(cancelled)
    may_go.set()
    while done.state is not State.DONE:
        jobs.wait(done, done.version, 10.0)
    jobs.close()
    gc.collect()
    assert cancelled.state is State.CANCELLED
    assert done.result == {"photo": "Photo"}
    assert [reference() for reference in held] == [None, None]
