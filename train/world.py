"""The ranks of a run: who this process is among them, and the few things they tell one another beside gradients.

A rank is one process with one device. torchrun and Ray Train start them and say so in the environment; a run without
them is a world of one, in which nothing is waited for.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from base.errors import Failure, UsageError
from zero123.device import torch_device

T = TypeVar("T")

LOST = re.compile(r"closed by peer|timed out|timeout|reset by peer|broken pipe|NCCL", re.IGNORECASE)
RANKS = re.compile(r"Ranks? ([\d, ]+)")


@dataclass(frozen=True)
class World:
    """Rank `rank` of `size` on `device`; `control` is the group that they talk in, over the CPU; None alone."""

    rank: int
    size: int
    device: torch.device
    wait_minutes: float
    control: Any = None

    @property
    def first(self) -> bool:
        """True for the one rank that writes."""
        return self.rank == 0

    def meet(self, where: str) -> None:
        """Return when every rank is here. Raises Failure naming the ranks that are not after `wait_minutes`."""
        if self.size == 1:
            return
        limit = timedelta(minutes=self.wait_minutes)
        try:
            dist.monitored_barrier(self.control, limit, wait_all_ranks=True)
        except RuntimeError as error:
            raise Failure(
                f"{where}: expected all {self.size} ranks within {self.wait_minutes:g} minutes; "
                f"rank {self.rank} waited for {self._whom(str(error))}"
            ) from None

    def _whom(self, error: str) -> str:
        if not self.first:
            return "rank 0, which says on whom it waited"
        named = RANKS.search(error.partition("failed to pass")[0].rpartition("]")[2])
        return f"rank {named[1].strip(' ,')}" if named else f"a rank that is gone: {' '.join(error.split())[:200]}"

    def any(self, flag: bool) -> bool:
        """Whether any rank says yes; all ranks ask at the same place."""
        if self.size == 1:
            return flag
        told = torch.tensor([float(flag)])
        dist.all_reduce(told, group=self.control)
        return bool(told > 0)

    def total(self, values: Tensor) -> Tensor:
        """The sum of every rank's `values`, on their device."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def gathered(self, value: T) -> list[T]:
        """Every rank's value, by rank; plain Python values alone."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value, group=self.control)
        return values

    @contextmanager
    def together(self, where: str) -> Iterator[None]:
        """A block that needs all ranks: one that is lost on the way is a Failure."""
        try:
            yield
        except RuntimeError as error:
            if self.size == 1 or isinstance(error, torch.OutOfMemoryError) or not LOST.search(str(error)):
                raise
            sentence = " ".join(str(error).split())[:200]
            raise Failure(
                f"{where}: rank {self.rank} lost another rank while they worked together: {sentence}"
            ) from None


@contextmanager
def world_for(device: str, wait_minutes: float) -> Iterator[World]:
    """The world that the launcher's environment describes. Raises UsageError for a device that is not there."""
    size, rank, local = (int(os.environ.get(name, default)) for name, default in ENVIRONMENT.items())
    if size == 1:
        yield World(0, 1, torch_device(device), wait_minutes)
        return
    place = torch_device(_of_rank(device, local))
    backend = "nccl" if place.type == "cuda" else "gloo"
    if place.type == "cuda":
        torch.cuda.set_device(place)
    limit = timedelta(minutes=wait_minutes)
    ours = not dist.is_initialized()
    if ours:
        dist.init_process_group(backend, timeout=limit)
    try:
        yield World(rank, size, place, wait_minutes, dist.new_group(backend="gloo", timeout=limit))
    finally:
        if ours:
            dist.destroy_process_group()


ENVIRONMENT = {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"}


def _of_rank(device: str, local_rank: int) -> str:
    """`auto` and `cuda` mean a GPU for each rank of a machine."""
    if device == "auto" and torch.cuda.is_available():
        device = "cuda"
    if device.startswith("cuda:"):
        raise UsageError(f"train.device: expected auto, cpu or cuda for several ranks, got {device!r}")
    return f"cuda:{local_rank}" if device == "cuda" else device
