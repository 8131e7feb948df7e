"""Samples fetched ahead of need: what is still to be fetched when reading ends is waited for by nobody."""

import threading
from collections import deque
from concurrent.futures import CancelledError

from shards.damage import raise_damage
from shards.plan import Order, Visit
from shards.version import SampleEntry, ShardEntry
from shards.visits import Share, read_pairs

SOON_S = 60.0
"""What ends at once may take on a busy machine."""


class Held:
    """A source whose samples come once reading is to stop."""

    def __init__(self, stop: threading.Event) -> None:
        self.asked, self.stop = threading.Event(), stop

    def fetch(self, visit: Visit) -> str:
        self.asked.set()
        self.stop.wait()
        return visit.entry.uid

    def views(self, _sample: str) -> tuple[int, ...]:
        return (0, 1)

    def pair(self, number: int, _sample: str, _source: int, _target: int) -> int:
        return number


def test_pending_fetches_are_cancelled_at_a_stop() -> None:
    entries = tuple(SampleEntry(f"object-{number}", number, 1) for number in range(3))
    order = Order((ShardEntry("shards/train-000000-0.tar", "train", 0, 3, "", entries),), 0, 1)
    stop, ended = threading.Event(), threading.Event()
    source = Held(stop)

    def read() -> None:
        try:
            deque(read_pairs(order, source, Share(0, 0, 1), 1, stop, raise_damage), maxlen=0)
        except CancelledError:
            ended.set()

    threading.Thread(target=read, daemon=True).start()
    assert source.asked.wait(SOON_S)
    stop.set()
    assert ended.wait(SOON_S)
