"""A driver and its ranks elsewhere: it hears the signal to stop, and a file in the run's folder tells them of it."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from pathlib import Path

from train.interrupt import Interrupt

STOP = "stop"
GRACE_S = 25.0
"""How long ranks that are asked to stop may take to save; clouds give 30 s between SIGTERM and SIGKILL."""
LOOK_EVERY_S = 0.25


def asked_in(out: Path) -> bool:
    """Whether the driver of the run in `out` wants its ranks to stop."""
    return out / STOP in out.iterdir()  # looked up by name, NFS may say for a minute that it is not there


def driven(work: Callable[[], object], out: Path) -> None:
    """Do `work`, which is over soon after its ranks see `asked_in(out)`; raises what it raises.

    Ctrl-C or SIGTERM asks them to stop, and does what it always does once the work is over, or after GRACE_S; a second
    one does so at once.
    """
    out.mkdir(parents=True, exist_ok=True)
    stop = out / STOP
    stop.unlink(missing_ok=True)  # what an earlier driver left that was killed
    done: Future[object] = Future()
    with Interrupt() as interrupt:
        threading.Thread(target=_fulfil, args=(done, work), name="driven", daemon=True).start()
        try:
            while not interrupt.asked and not done.done():
                wait([done], LOOK_EVERY_S)
            if interrupt.asked:
                stop.touch()
                wait([done], GRACE_S)
        finally:
            stop.unlink(missing_ok=True)
        if done.done():
            done.result()


def _fulfil(promise: "Future[object]", work: Callable[[], object]) -> None:
    try:
        promise.set_result(work())
    except BaseException as error:  # noqa: BLE001 -- it is raised where the result is asked for
        promise.set_exception(error)
