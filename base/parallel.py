"""Map a function over items in a few threads, for work that waits for disks or runs C code without the GIL."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def map_in_threads(work: Callable[[T], R], items: Iterable[T], threads: int) -> Iterator[R]:
    """Apply `work` to each item in `threads` threads and yield the results in the order of the items.

    Items are drawn as they are needed. The first error is raised in the place of its result. Work that has not begun
    by then, or when the caller stops, never begins.
    """
    waiting: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            # A bounded queue keeps finished results from filling the memory.
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
