"""Limits: requests a minute for each address, and the bytes of a request before anything is decoded."""

import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable

from web.errors import Refused

MOST_ADDRESSES = 10_000
"""Addresses are forgotten from the one seen longest ago, so that strangers cannot fill the memory."""


class RateLimit:
    """A bucket of requests for each address, filled evenly to `per_minute`."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute, self._clock = per_minute, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, address: str) -> None:
        """Count a request. Raises Refused (429) when the bucket of its address is empty."""
        now, per_s = self._clock(), self._per_minute / 60.0
        left, since = self._buckets.pop(address, (float(self._per_minute), now))
        # A token bucket: it fills with time and never beyond its size, so bursts are limited too.
        left = min(float(self._per_minute), left + (now - since) * per_s)
        taken = 1.0 if left >= 1.0 else 0.0
        self._buckets[address] = (left - taken, now)
        if len(self._buckets) > MOST_ADDRESSES:
            self._buckets.popitem(last=False)
        if not taken:
            raise Refused(429, f"expected at most {self._per_minute} requests a minute, got more", (1.0 - left) / per_s)


async def read_limited(chunks: AsyncIterator[bytes], announced: str | None, megabytes: int) -> bytes:
    """Collect a request's body; stop at the first byte beyond `megabytes`. Raises Refused for those and for none."""
    most = megabytes << 20
    too_large = Refused(413, f"expected a picture of at most {megabytes} MiB, got more")
    # The announcement allows an early refusal, but a client may lie, so the bytes are counted as well.
    if announced is not None and announced.isdecimal() and int(announced) > most:
        raise too_large
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > most:
            raise too_large
    if not body:
        raise Refused(422, "expected a picture as the body, got nothing")
    return bytes(body)
