"""Data made and copied to the device while the device computes."""

import queue
import threading
from collections.abc import Callable, Generator

import torch

from train.gather import Gathered

Item = tuple[Gathered, "torch.cuda.Event | None"]


def prefetched(
    source: Generator[Gathered, None, None], device: torch.device, ahead: int
) -> Generator[Gathered, None, None]:
    """The items of `source` on `device`, in order, up to `ahead` of them ready before they are asked for.

    A thread makes them; on a GPU it copies them on a stream of its own, and the stream that computes waits for no more
    than the copy of what it is given. An error in `source` is raised where its item would have come.
    """
    ready: queue.Queue[Item | BaseException] = queue.Queue(maxsize=ahead)
    stopped = threading.Event()
    copier = _copier(device)
    worker = threading.Thread(target=_fill, args=(source, copier, ready, stopped), name="prefetch", daemon=True)
    worker.start()
    try:
        while not isinstance(item := ready.get(), BaseException):
            yield _arrived(*item)
        raise item
    finally:
        stopped.set()
        while worker.is_alive():
            _drain(ready)
            worker.join(0.01)


def _fill(
    source: Generator[Gathered, None, None],
    copy: Callable[[Gathered], Item],
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


def _copier(device: torch.device) -> Callable[[Gathered], Item]:
    if device.type != "cuda":
        return lambda item: (item.to(device), None)
    stream = torch.cuda.Stream(device)

    def copy(item: Gathered) -> Item:
        with torch.cuda.stream(stream):
            moved = item.pinned().to(device)
            return moved, stream.record_event()

    return copy


def _arrived(item: Gathered, copied: "torch.cuda.Event | None") -> Gathered:
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
