"""Make data and copy it to the device while the device computes."""

import queue
import threading
import time
from collections.abc import Callable, Generator

import torch

from train.collate import CollatedPairs

Item = tuple[CollatedPairs, "torch.cuda.Event | None"]
PROMPT_S = 0.25
"""How long to wait for an item after a request to stop, and for the end of a source."""
ABANDONED_AFTER_S = 60.0
"""How long to wait for a source without a request to stop. By then every network request has timed out."""


def prefetch(
    source: Generator[CollatedPairs, None, None],
    device: torch.device,
    ahead: int,
    stop: threading.Event | None = None,
    is_stopping: Callable[[], bool] = lambda: False,
) -> Generator[CollatedPairs, None, None]:
    """Yield the items of `source` on `device`, in order, with up to `ahead` of them ready in advance.

    A thread makes them. For a GPU it copies them on its own stream, and the computing stream waits only for the copy of
    the current item. An error in `source` is raised in place of its item. The items end if `is_stopping` is true while
    an item is awaited. At the end, `stop` is set if `source` does not end by itself, to end its waiting for a store. A
    thread that still runs is abandoned.
    """
    ready: queue.Queue[Item | BaseException] = queue.Queue(maxsize=ahead)
    stopped = threading.Event()
    copier = _copier(device)
    # A daemon: a thread in a network request must not keep the process from ending.
    worker = threading.Thread(target=_fill, args=(source, copier, ready, stopped), name="prefetch", daemon=True)
    worker.start()
    try:
        while (item := _next(ready, is_stopping)) is not None:
            if isinstance(item, BaseException):
                raise item
            yield _await_copy(*item)
    finally:
        stopped.set()
        _join(worker, ready, PROMPT_S)
        if stop:
            stop.set()
        _join(worker, ready, PROMPT_S if is_stopping() else ABANDONED_AFTER_S)


def _next(ready: "queue.Queue[Item | BaseException]", is_stopping: Callable[[], bool]) -> Item | BaseException | None:
    while True:
        try:
            return ready.get(timeout=PROMPT_S)
        except queue.Empty:
            if is_stopping():
                return None


def _join(worker: threading.Thread, ready: "queue.Queue[Item | BaseException]", limit_s: float) -> None:
    """Wait up to `limit_s` for the end of the thread, and discard its items so that it can end."""
    until = time.monotonic() + limit_s
    while worker.is_alive() and time.monotonic() < until:
        _drain(ready)
        worker.join(0.01)


def _fill(
    source: Generator[CollatedPairs, None, None],
    copy: Callable[[CollatedPairs], Item],
    ready: "queue.Queue[Item | BaseException]",
    stopped: threading.Event,
) -> None:
    try:
        for item in source:
            ready.put(copy(item))
            if stopped.is_set():
                return
    except BaseException as error:  # noqa: BLE001 -- it is raised where the data are used
        # Through the queue, so that it arrives after the good items before it.
        ready.put(error)
    finally:
        source.close()


def _copier(device: torch.device) -> Callable[[CollatedPairs], Item]:
    if device.type != "cuda":
        return lambda item: (item.to(device), None)
    stream = torch.cuda.Stream(device)

    def copy(item: CollatedPairs) -> Item:
        with torch.cuda.stream(stream):
            # Only copies from pinned memory run beside the computation.
            moved = item.pin().to(device)
            return moved, stream.record_event()

    return copy


def _await_copy(item: CollatedPairs, copied: "torch.cuda.Event | None") -> CollatedPairs:
    """Make the computing stream wait for a copy, and keep its memory from reuse while that stream reads it."""
    if copied is not None:
        stream = torch.cuda.current_stream(item.pose.device)
        stream.wait_event(copied)
        for tensor in item.tensors():
            tensor.record_stream(stream)
    return item


def _drain(ready: "queue.Queue[Item | BaseException]") -> None:
    while not ready.empty():
        ready.get_nowait()
