"""How often a hub may be asked: one bucket of requests for each server, credential and address that it sees.

A bucket holds `requests` and is filled evenly over `window_s`. What the hub itself says (429, Retry-After) comes first:
until then nobody with that bucket asks.
"""

import hashlib
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

RETRY_AFTER_CAP_S = 120.0


class Gate(Protocol):
    """What every request to a hub passes."""

    def take(self, key: str) -> float:
        """Take one request out of the bucket `key` and return how many seconds to wait before it is made."""
        ...

    def close(self, key: str, seconds: float) -> None:
        """Nobody asks with this bucket for so many seconds: the hub said so."""
        ...

    def closed_s(self, key: str) -> float:
        """For how many seconds more nobody asks with this bucket, turn or no turn."""
        ...


@dataclass
class Bucket:
    """`level` requests are left at `at` (seconds of any one clock); none before `closed_until`."""

    level: float
    at: float
    closed_until: float = 0.0


@dataclass
class Buckets:
    """The gate itself, for all threads of a process. `clock` gives seconds."""

    requests: int
    window_s: float
    clock: Callable[[], float] = time.monotonic
    _buckets: dict[str, Bucket] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, key: str) -> float:
        """See `Gate`. A bucket may go below nothing: those who come later wait longer, each for its own turn."""
        with self._lock:
            bucket, now = self._filled(key)
            bucket.level -= 1.0
            return max(0.0, -bucket.level / self._rate, bucket.closed_until - now)

    def close(self, key: str, seconds: float) -> None:
        """See `Gate`; RETRY_AFTER_CAP_S at most."""
        with self._lock:
            bucket, now = self._filled(key)
            bucket.closed_until = max(bucket.closed_until, now + min(seconds, RETRY_AFTER_CAP_S))

    def closed_s(self, key: str) -> float:
        """See `Gate`."""
        with self._lock:
            bucket, now = self._filled(key)
            return max(0.0, bucket.closed_until - now)

    @property
    def _rate(self) -> float:
        return self.requests / self.window_s

    def _filled(self, key: str) -> tuple[Bucket, float]:
        now = self.clock()
        bucket = self._buckets.setdefault(key, Bucket(float(self.requests), now))
        bucket.level = min(float(self.requests), bucket.level + (now - bucket.at) * self._rate)
        bucket.at = now
        return bucket, now


def bucket_key(url: str, token: str, *, shared_address: bool) -> str:
    """The bucket of a request: its server, the digest of its credential, and for strangers the machine it comes from.

    With `shared_address` all machines are taken to reach the server from one address.
    """
    if token:
        who = hashlib.sha256(token.encode()).hexdigest()[:16]
    else:
        who = "anyone" if shared_address else socket.gethostname()
    return f"{urlsplit(url).netloc} {who}"
