"""A child process with JSON lines on its own channel; it can always be ended with all its descendants."""

import contextlib
import errno
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, cast

from base.errors import Failure
from base.outcomes import Outcome
from base.scratch import create_owned_folder, remove_abandoned
from base.text import replace_controls

POLL_S = 0.05
MAX_LINE_BYTES = 4 << 20
MAX_LOG_BYTES = 64 << 20
TAIL_BYTES = 4096
FOLDER_PREFIX = "zero123-child-"

# The kernel sends the parent-death signal at the end of the starting *thread*; this thread lasts as long as we do.
_STARTER = ThreadPoolExecutor(1, thread_name_prefix="child-starter")


class ChildDeath(Exception):
    """The child ended, hung, exceeded its memory or sent a malformed message, as `outcome` and the message tell."""

    def __init__(self, outcome: Outcome, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome


class ChildProcess:
    """A process in its own session. A private folder is its working, home and temporary folder.

    The command is given two more arguments: the number of the channel's file descriptor and our process number.
    Standard output and error go to a log in the private folder; standard input takes our lines.
    """

    def __init__(self, command: Sequence[str], environment: dict[str, str]) -> None:
        # Folders of parents that were killed: their children are dead, by the parent-death signal.
        remove_abandoned(Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*"))
        self.folder, self._lock = create_owned_folder(lambda: Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX)))
        self._log = self.folder / "log"
        self._buffer = b""
        private = {"HOME": str(self.folder), "TMPDIR": str(self.folder)}
        # Its own channel: Blender and other libraries print to standard output as they like.
        self._channel, child_end = os.pipe()
        try:
            with self._log.open("ab") as log:
                self._process = _STARTER.submit(
                    subprocess.Popen,
                    [*command, str(child_end), str(os.getpid())],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    cwd=self.folder,
                    env={**environment, **private},
                    pass_fds=(child_end,),
                    # A group of its own, to be killed whole; and Ctrl-C in a terminal does not reach it.
                    start_new_session=True,
                ).result()
        except OSError as error:
            self._forget()
            raise Failure(f"could not start {command[0]}: {error}") from None
        finally:
            # Ours too, or the end of the child would never be seen as the end of the channel.
            os.close(child_end)
        self._input = cast(IO[bytes], self._process.stdin)

    def send(self, message: dict[str, Any]) -> None:
        """Write a line to the child; the next `receive` detects a dead child."""
        try:
            self._input.write(json.dumps(message).encode() + b"\n")
            self._input.flush()
        except OSError as error:
            if error.errno != errno.EPIPE:
                raise

    def receive(self, *, timeout_s: float, memory_mb: int) -> dict[str, Any]:
        """The child's next message. Raises ChildDeath at the deadline, past the memory cap, or when it ended."""
        deadline = time.monotonic() + timeout_s
        poller = select.poll()
        poller.register(self._channel, select.POLLIN)
        while b"\n" not in self._buffer:
            self._check_limits(deadline, timeout_s, memory_mb)
            # In short waits: memory and log are checked between them.
            if not poller.poll(POLL_S * 1000):
                continue
            data = os.read(self._channel, 1 << 16)
            if not data:
                raise self._death()
            # A read may end inside a line, or hold several.
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return _message(line)

    def rss_mb(self) -> float:
        """Resident memory of the process in MiB; 0 where the system does not report it."""
        try:
            pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        except (OSError, ValueError, IndexError):
            return 0.0
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def peak_mb(self) -> float:
        """The peak resident memory of the process in MiB; 0 where the system does not report it."""
        try:
            lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        except OSError:
            return 0.0
        return sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024

    def log_tail(self) -> str:
        """The end of what the child printed, without terminal control characters."""
        try:
            with self._log.open("rb") as log:
                log.seek(max(0, self._log.stat().st_size - TAIL_BYTES))
                return replace_controls(log.read().decode(errors="replace"))
        except OSError:
            return ""

    def log(self) -> str:
        """Return everything the child printed since the log was cleared."""
        try:
            return self._log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def clear_log(self) -> None:
        """Drop everything printed by the child so far."""
        # The child appends, so it goes on at the new end.
        os.truncate(self._log, 0)

    def end(self) -> None:
        """Kill the whole process group, wait for it, and remove the private folder; nothing happens the second time."""
        if self._channel < 0:
            return
        # Killing before reaping: the group's number cannot have been given to another process yet.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        with contextlib.suppress(OSError):
            self._input.close()
        self._forget()

    def _forget(self) -> None:
        os.close(self._channel)
        self._channel = -1
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)

    def _check_limits(self, deadline: float, timeout_s: float, memory_mb: int) -> None:
        if time.monotonic() > deadline:
            raise ChildDeath(Outcome.TIMEOUT, f"expected an answer within {timeout_s:g} s, got nothing")
        if (used := self.rss_mb()) > memory_mb:
            raise ChildDeath(Outcome.OUT_OF_MEMORY, f"expected at most {memory_mb} MiB of memory, got {used:.0f}")
        if len(self._buffer) > MAX_LINE_BYTES or self._log.stat().st_size > MAX_LOG_BYTES:
            raise ChildDeath(Outcome.CRASH, "the child wrote without end")

    def _death(self) -> ChildDeath:
        """The cause of a closed channel; a child may take a second to end after it closes the channel."""
        until = time.monotonic() + 1.0
        status = None
        while status is None and time.monotonic() < until:
            # Without reaping, so that the group's number stays ours until `end`.
            status = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
            time.sleep(POLL_S if status is None else 0.0)
        if status is None:
            return ChildDeath(Outcome.CRASH, "the child closed its channel")
        if status.si_code == os.CLD_EXITED:
            return ChildDeath(Outcome.CRASH, f"the child ended by itself with exit code {status.si_status}")
        if status.si_status == signal.SIGKILL:
            return ChildDeath(Outcome.OUT_OF_MEMORY, "the system killed the child, most likely for want of memory")
        return ChildDeath(Outcome.CRASH, f"the child died of {signal.Signals(status.si_status).name}")


def _message(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        raise ChildDeath(Outcome.CRASH, f"expected a JSON message from the child, got {line[:60]!r}")
    return message
