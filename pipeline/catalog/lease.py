"""Admit a single builder at a time: the holder of the lease may change the dataset while it keeps renewing it.

The lease is a file, created by a conditional put. If a holder is silent past its expiry, or its process on this host is
gone, another builder may follow it. The follower is the first to create the claim with the old holder's token.
"""

import json
import os
import secrets
import socket
import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from base.errors import Failure
from base.storage import Storage

NAME = "lease.json"
ENDED = ("Z", "X")
"""The kernel's letters for an ended process."""


@dataclass(frozen=True)
class Holder:
    """The holder of a lease: a process by host, pid and start, with a `token`, until `expires_at` (Unix seconds).

    `followed` are the tokens of the holders it replaced, and of those they replaced, as long as they did not return the
    lease.
    """

    token: str
    host: str
    pid: int
    process_start: str
    since: float
    expires_at: float
    followed: tuple[str, ...] = ()

    @classmethod
    def here(cls, seconds: float) -> "Holder":
        """Return this process as a holder from now on."""
        pid, now = os.getpid(), time.time()
        return cls(secrets.token_hex(8), socket.gethostname(), pid, process_start(pid), now, now + seconds)

    @property
    def gone(self) -> bool:
        """True if the lease ran out, or its process on this host is gone."""
        # A pid alone could be another process by now; with its start it names one process since boot.
        ended_here = self.host == socket.gethostname() and process_start(self.pid) != self.process_start
        # Pids of other hosts mean nothing here, so there only the expiry counts.
        return ended_here or time.time() > self.expires_at

    def to_json(self) -> bytes:
        """Return the holder as JSON bytes."""
        return json.dumps(asdict(self)).encode()


def process_start(pid: int) -> str:
    """Return when a process of this host started, in kernel ticks; empty if there is no such process or it has ended.

    A zombie stays listed after its end, as in many containers.
    """
    try:
        # After the last bracket: a process may have brackets and blanks in its name.
        about = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if about[0] in ENDED else about[19]
    except (OSError, IndexError):
        return ""


class Lease:
    """A context manager that holds the lease of a dataset. Raises Failure, naming the holder, if another builder has
    it."""

    def __init__(self, storage: Storage, seconds: float) -> None:
        self.storage, self.seconds = storage, seconds
        self.holder = Holder.here(seconds)
        self.lost = False
        self._done = threading.Event()
        # A daemon: a builder with an unhandled error must not keep beating.
        self._heart = threading.Thread(target=self._beat, name="lease", daemon=True)

    def __enter__(self) -> Self:
        if not self.storage.create(NAME, self.holder.to_json()):
            self._take_over()
        # Only now: a beat before the takeover would find the lease of another and report ours as lost.
        self._heart.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        # First the heart, or a last beat could write the lease again after its removal.
        self._heart.join()
        try:
            # A follower may have it by now, and its lease is not ours to remove.
            if self._is_held():
                self.storage.remove(NAME)
        except Failure:
            if error is None:  # else that is what matters, and the lease runs out by itself
                raise

    def check(self) -> None:
        """Raise Failure if another builder took over: this builder must then write nothing more.

        After a late heartbeat, as in a process that was stopped for a while, storage itself is asked.
        """
        if not self.lost and time.time() > self.holder.expires_at:
            self.lost = not self._is_held()
        if self.lost:
            raise Failure(
                f"{self.storage.root}: another builder took over after too long a silence of this builder; stopped"
            )

    def _take_over(self) -> None:
        claims, current = list[str](), self._read(NAME)
        while current is not None:
            if not current.gone:
                raise Failure(_busy(self.storage.root, current))
            followed = dict.fromkeys((*self.holder.followed, *current.followed, current.token))
            self.holder = replace(self.holder, followed=tuple(followed))
            # A lease cannot be replaced by a conditional put on every store, but a claim can be created only once:
            # of several followers a single one succeeds. If it dies, its claim is followed likewise, hence the loop.
            claim = f"lease.{current.token}.json"
            if self.storage.create(claim, self.holder.to_json()):
                break
            claims.append(claim)
            current = self._read(claim)
        else:
            raise Failure(f"{self.storage.root}: another builder has just begun or ended; run the same command again")
        # The old holder may have come back between our look and our claim.
        first = self._read(NAME)
        if first is None or not first.gone:
            self.storage.remove(claim)
            raise Failure(f"{self.storage.root}: another builder has just begun; run the same command again")
        # The claim protects this write: any other follower of the old holder finds the claim taken.
        self.storage.write(NAME, self.holder.to_json())
        for name in (*claims, claim):
            self.storage.remove(name)

    def _read(self, name: str) -> Holder | None:
        return holder(self.storage, name)

    def _is_held(self) -> bool:
        current = self._read(NAME)
        return current is not None and current.token == self.holder.token

    def _beat(self) -> None:
        # Three beats may fail before the lease runs out.
        while not self._done.wait(self.seconds / 4):
            try:
                if not self._is_held():
                    self.lost = True
                    return
                self.holder = replace(self.holder, expires_at=time.time() + self.seconds)
                self.storage.write(NAME, self.holder.to_json())
            except Failure:
                continue  # the next beat tries again; if none succeeds, the lease runs out by itself


def holder(storage: Storage, name: str = NAME) -> Holder | None:
    """Return the holder of a dataset's lease, gone or not; None without a lease. Raises Failure if storage does not
    answer."""
    try:
        return Holder(**json.loads(storage.read(name))) if storage.exists(name) else None
    except Failure:
        if storage.exists(name):
            raise
        return None  # it was given back between the two questions
    except (ValueError, TypeError) as error:
        raise Failure(f"{storage.root}/{name}: expected a lease, got: {error}; remove it if no one builds") from None


def _busy(root: str, holder: Holder) -> str:
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(holder.since))
    return f"{root}: expected to build alone, but process {holder.pid} on {holder.host} has been building since {since}"
