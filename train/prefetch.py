"""Data made and copied to the device while the device computes."""

import queue
import threading
import time
from collections.abc import Callable, Generator

import torch

from train.collate import CollatedPairs

Item = tuple[CollatedPairs, "torch.cuda.Event | None"]
PROMPT_S = 0.25
"""How long an item may take once somebody wants to stop, and a source to end by itself."""
LEFT_BEHIND_AFTER_S = 60.0
"""When nobody is in a hurry: by then every request of a client has ended."""


def prefetch(
    source: Generator[CollatedPairs, None, None],
    device: torch.device,
    ahead: int,
    stop: threading.Event | None = None,
    asked: Callable[[], bool] = lambda: False,
) -> Generator[CollatedPairs, None, None]:
    """The items of `source` on `device`, in order, up to `ahead` of them ready before they are asked for.

    A thread makes them; on a GPU it copies them on a stream of its own, and the stream that computes waits for no more
    than the copy of what it is given. An error in `source` is raised where its item would have come. The items end
    where one is waited for while `asked` says that somebody wants to stop. `stop`, which is to end the waiting of
    `source`, is set when that does not end by itself; one that goes on all the same is left behind.
    """
    ready: queue.Queue[Item | BaseException] = queue.Queue(maxsize=ahead)
    stopped = threading.Event()
    copier = _copier(device)
    worker = threading.Thread(target=_fill, args=(source, copier, ready, stopped), name="prefetch", daemon=True)
    worker.start()
    try:
        while (item := _next(ready, asked)) is not None:
            if isinstance(item, BaseException):
                raise item
            yield _arrived(*item)
    finally:
        stopped.set()
        _leave(worker, ready, PROMPT_S)
        if stop:
            stop.set()
        _leave(worker, ready, PROMPT_S if asked() else LEFT_BEHIND_AFTER_S)


def _next(ready: "queue.Queue[Item | BaseException]", asked: Callable[[], bool]) -> Item | BaseException | None:
    while True:
        try:
            return ready.get(timeout=PROMPT_S)
        except queue.Empty:
            if asked():
                return None


def _leave(worker: threading.Thread, ready: "queue.Queue[Item | BaseException]", limit_s: float) -> None:
    """Wait for the end of the thread for a while; whatever it still brings is taken from it."""
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
        ready.put(error)
    finally:
        source.close()


def _copier(device: torch.device) -> Callable[[CollatedPairs], Item]:
    if device.type != "cuda":
        return lambda item: (item.to(device), None)
    stream = torch.cuda.Stream(device)

    def copy(item: CollatedPairs) -> Item:
        with torch.cuda.stream(stream):
            moved = item.pin().to(device)
            return moved, stream.record_event()

    return copy


def _arrived(item: CollatedPairs, copied: "torch.cuda.Event | None") -> CollatedPairs:
    """The memory of what a side stream filled must not be given away while the computing stream reads it."""
    if copied is not None:
        stream = torch.cuda.current_stream(item.pose.device)
        stream.wait_event(copied)
        for tensor in item.tensors():
            tensor.record_stream(stream)
    return item


def _drain(ready: "queue.Queue[Item | BaseException]") -> None:
    while not ready.empty():
        ready.get_nowait()
