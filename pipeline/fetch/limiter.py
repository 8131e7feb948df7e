"""Limit requests to a hub: a bucket for each server, credential and visible address.

A bucket holds `requests` and fills evenly over `window_s`. The hub's own words (429, Retry-After) come first and close
the bucket.
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
    """The interface that every request to a hub passes."""

    def take(self, key: str) -> float:
        """Take a request from the bucket `key`. Returns the seconds to wait before it."""
        ...

    def close(self, key: str, seconds: float) -> None:
        """Close the bucket for some seconds, as the hub asked."""
        ...

    def closed_s(self, key: str) -> float:
        """Return for how many more seconds the bucket is closed, at any level."""
        ...


@dataclass
class Bucket:
    """`level` requests are left at `at` (seconds of any clock). The bucket is closed before `closed_until`."""

    level: float
    at: float
    closed_until: float = 0.0


@dataclass
class Buckets:
    """The gate for all threads of a process. `clock` gives seconds."""

    requests: int
    window_s: float
    clock: Callable[[], float] = time.monotonic
    _buckets: dict[str, Bucket] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, key: str) -> float:
        """See `Gate`. A level below zero makes later requests wait longer, each for its own turn."""
        with self._lock:
            bucket, now = self._fill(key)
            # Below zero too: each waiting request reserves its turn.
            bucket.level -= 1.0
            return max(0.0, -bucket.level / self._rate, bucket.closed_until - now)

    def close(self, key: str, seconds: float) -> None:
        """See `Gate`; RETRY_AFTER_CAP_S at most."""
        with self._lock:
            bucket, now = self._fill(key)
            # The longest closing wins: another worker may have heard a shorter pause later.
            bucket.closed_until = max(bucket.closed_until, now + min(seconds, RETRY_AFTER_CAP_S))

    def closed_s(self, key: str) -> float:
        """See `Gate`."""
        with self._lock:
            bucket, now = self._fill(key)
            return max(0.0, bucket.closed_until - now)

    @property
    def _rate(self) -> float:
        return self.requests / self.window_s

    def _fill(self, key: str) -> tuple[Bucket, float]:
        now = self.clock()
        # Full at first: nothing is known of earlier requests.
        bucket = self._buckets.setdefault(key, Bucket(float(self.requests), now))
        bucket.level = min(float(self.requests), bucket.level + (now - bucket.at) * self._rate)
        bucket.at = now
        return bucket, now


def bucket_key(url: str, token: str, *, shared_address: bool) -> str:
    """Return the bucket of a request: its server with the digest of its credential, or without credential its machine.

    With `shared_address`, all machines count as reaching the server from the same address.
    """
    if token:
        # A digest, because keys travel between processes and the token must not.
        who = hashlib.sha256(token.encode()).hexdigest()[:16]
    else:
        who = "anyone" if shared_address else socket.gethostname()
    return f"{urlsplit(url).netloc} {who}"
