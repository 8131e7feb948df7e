"""A driver and its ranks elsewhere, who tell one another by files in the run's folder: to stop, and what is amiss."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from pathlib import Path

from base.errors import Failure
from base.progress import SILENT
from base.storage import reason
from train.interrupt import Interrupt

STOP, SAID = "stop", "said"
GRACE_S = 25.0
"""How long ranks that are asked to stop may take to save; clouds give 30 s between SIGTERM and SIGKILL."""
LOOK_EVERY_S = 0.25


def is_stop_requested(out: Path) -> bool:
    """Whether the driver of the run in `out` wants its ranks to stop."""
    return out / STOP in out.iterdir()  # looked up by name, NFS may say for a minute that it is not there


def run_until_stopped(work: Callable[[], object], out: Path) -> None:
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
            while not interrupt.requested and not done.done():
                wait([done], LOOK_EVERY_S)
            if interrupt.requested:
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


class RankProgress:
    """The progress of a rank elsewhere: what it says is a line more in a file of its own, for the driver to tell."""

    def __init__(self, out: Path, rank: int) -> None:
        self.path = out / SAID / f"{rank}.log"
        self.task = SILENT.task

    def say(self, line: str) -> None:
        """See `Progress.say`. Raises Failure when it cannot be written."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8", errors="backslashreplace") as stream:
                stream.write(" ".join(line.split()) + "\n")
        except OSError as error:
            raise Failure(f"{self.path}: could not write: {reason(error)}") from None


class RankMessages:
    """What the ranks of the run in `out` have said since this was made."""

    def __init__(self, out: Path) -> None:
        self.folder = out / SAID
        self.bytes = {path: path.stat().st_size for path in self.folder.glob("*.log")}

    def lines(self) -> Iterator[str]:
        """The lines that were not heard before, each when it is whole."""
        for path in sorted(self.folder.glob("*.log")):
            with path.open("rb") as stream:
                stream.seek(self.bytes.get(path, 0))
                whole, end, _ = stream.read().rpartition(b"\n")
            self.bytes[path] = self.bytes.get(path, 0) + len(whole + end)
            yield from whole.decode(errors="replace").splitlines()
