"""Data made ahead: in order, no further than asked, errors where their item would have come, no thread left."""

import threading
import time
from collections.abc import Generator
from typing import Any

import pytest
import torch

from train.prefetch import prefetch

CPU = torch.device("cpu")


class Part:
    """Stands for Gathered."""

    def __init__(self, number: int) -> None:
        self.number = number

    def to(self, device: torch.device) -> "Part":
        return self


def parts(made: list[int], until: int | None = None) -> Generator[Any, None, None]:
    for number in range(10_000):
        if number == until:
            raise ValueError("a damaged shard")
        made.append(number)
        yield Part(number)


def alive() -> bool:
    return any(thread.name == "prefetch" for thread in threading.enumerate())


def test_items_come_in_order_and_no_further_ahead_than_asked() -> None:
    made: list[int] = []
    stream = prefetch(parts(made), CPU, ahead=3)
    assert [next(stream).number for _ in range(5)] == [0, 1, 2, 3, 4]  # type: ignore[attr-defined]
    deadline = time.monotonic() + 5
    while len(made) < 5 + 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert 5 <= len(made) <= 5 + 3 + 1
    stream.close()
    assert not alive()


def test_an_error_comes_where_its_item_would_have() -> None:
    stream = prefetch(parts([], until=2), CPU, ahead=8)
    assert [next(stream).number for _ in range(2)] == [0, 1]  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="a damaged shard"):
        next(stream)
    assert not alive()


def test_prefetch_ends_when_stopping() -> None:
    store = threading.Event()

    def waits() -> Generator[Any, None, None]:
        yield Part(0)
        store.wait()
        yield Part(1)

    assert [part.number for part in prefetch(waits(), CPU, 2, store, lambda: True)] == [0]  # type: ignore[attr-defined]
    assert store.is_set(), "what ends the waiting of the source"
    assert not alive()
