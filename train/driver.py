"""A driver and its remote ranks. They exchange requests to stop and messages by files in the run's folder."""

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
"""How long ranks may take to save after a request to stop. Clouds give 30 s between SIGTERM and SIGKILL."""
LOOK_EVERY_S = 0.25


def is_stop_requested(out: Path) -> bool:
    """Whether the driver has requested the ranks of the run in `out` to stop."""
    return out / STOP in out.iterdir()  # by a listing: NFS may cache for a minute that a name is missing


def run_until_stopped(work: Callable[[], object], out: Path) -> None:
    """Run `work`, and request its ranks in `out` to stop on Ctrl-C or SIGTERM. Raises the errors of `work`.

    The signal has its usual effect after the work has ended, or after GRACE_S. A second signal has it at once.
    """
    out.mkdir(parents=True, exist_ok=True)
    stop = out / STOP
    stop.unlink(missing_ok=True)  # left by a killed driver
    done: Future[object] = Future()
    with Interrupt() as interrupt:
        # In a thread: Python handles signals in the main thread, which must not be blocked by the work.
        threading.Thread(target=_fulfil, args=(done, work), name="work of driver", daemon=True).start()
        try:
            while not interrupt.requested and not done.done():
                wait([done], LOOK_EVERY_S)
            if interrupt.requested:
                # By a file: ranks on other machines share nothing with the driver but the run's folder.
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
    """The progress of a remote rank. It writes messages to its own file, and the driver shows them."""

    def __init__(self, out: Path, rank: int) -> None:
        self.path = out / SAID / f"{rank}.log"
        self.task = SILENT.task

    def say(self, line: str) -> None:
        """See `Progress.say`. Raises Failure if writing fails."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8", errors="backslashreplace") as stream:
                stream.write(" ".join(line.split()) + "\n")
        except OSError as error:
            raise Failure(f"{self.path}: could not write: {reason(error)}") from None


class RankMessages:
    """The messages of the ranks of the run in `out` since the construction of this object."""

    def __init__(self, out: Path) -> None:
        self.folder = out / SAID
        # Messages of earlier calls were shown by them.
        self.bytes = {path: path.stat().st_size for path in self.folder.glob("*.log")}

    def lines(self) -> Iterator[str]:
        """Yield the new complete lines."""
        for path in sorted(self.folder.glob("*.log")):
            with path.open("rb") as stream:
                stream.seek(self.bytes.get(path, 0))
                # A rank may be in the midst of a line; the rest of it comes next time.
                whole, end, _ = stream.read().rpartition(b"\n")
            self.bytes[path] = self.bytes.get(path, 0) + len(whole + end)
            yield from whole.decode(errors="replace").splitlines()
