"""The ranks of a run: who this process is among them, and the few things they tell one another beside gradients.

A rank is one process with one device. torchrun and Ray Train start them and say so in the environment; a run without
them is a world of one, in which nothing is waited for.
"""

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
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
AFTER_LOSS = timedelta(seconds=10)
"""How long those that are left wait for one another, who have noticed at about the same time."""


@dataclass
class World:
    """Rank `rank` of `size` on `device`; `control` is the group that they talk in, over the CPU; None alone.

    `where` they last met is what is said of a rank that is lost on the way to the next meeting. `after_loss` is another
    such group, for one in which something has failed is of no more use.
    """

    rank: int
    size: int
    device: torch.device
    wait_minutes: float
    control: Any = None
    after_loss: Any = None
    stage: str = "train"

    @property
    def first(self) -> bool:
        """True for the one rank that writes."""
        return self.rank == 0

    def barrier(self, where: str) -> None:
        """Return when every rank is here. Raises Failure naming the ranks that are not after `wait_minutes`."""
        self.stage = where
        if self.size == 1:
            return
        limit = timedelta(minutes=self.wait_minutes)
        try:
            dist.monitored_barrier(self.control, limit, wait_all_ranks=True)
        except RuntimeError as error:
            raise Failure(
                f"{where}: expected all {self.size} ranks within {self.wait_minutes:g} minutes; "
                f"rank {self.rank} waited for {self._whom(error)}"
            ) from None

    def _whom(self, error: RuntimeError) -> str:
        if not self.first:
            return "rank 0, which says on whom it waited"
        return _ranks_named_in(error) or f"a rank that is gone: {_sentence(error)}"

    def any_rank(self, flag: bool) -> bool:
        """Whether any rank says yes; all ranks ask at the same place. Raises Failure for a rank that is lost."""
        if self.size == 1:
            return flag
        told = torch.tensor([float(flag)])
        with self.collective():
            dist.all_reduce(told, group=self.control)
        return bool(told > 0)

    def sum(self, values: Tensor) -> Tensor:
        """The sum of every rank's `values`, on their device. Raises Failure for a rank that is lost."""
        if self.size > 1:
            with self.collective():
                dist.all_reduce(values)
        return values

    def gather(self, value: T) -> list[T]:
        """Every rank's value, by rank; plain Python values alone. Raises Failure for a rank that is lost."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        with self.collective():
            dist.all_gather_object(values, value, group=self.control)
        return values

    @contextmanager
    def collective(self) -> Iterator[None]:
        """A block that needs all ranks: one that is lost on the way is a Failure."""
        try:
            yield
        except RuntimeError as error:
            if self.size == 1 or isinstance(error, torch.OutOfMemoryError) or not LOST.search(str(error)):
                raise
            raise Failure(
                f"{self.stage}: rank {self.rank} lost {self._lost()} while they worked together: {_sentence(error)}"
            ) from None

    def _lost(self) -> str:
        """Whom this rank has lost: those that are left meet once more, and the first sees who hangs."""
        try:
            dist.monitored_barrier(self.after_loss, AFTER_LOSS, wait_all_ranks=True)
        except RuntimeError as error:
            if self.first and (named := _ranks_named_in(error)):
                return named
        return "another rank"


@contextmanager
def world_for(device: str, wait_minutes: float) -> Iterator[World]:
    """The world that the launcher's environment describes.

    Raises UsageError for an environment that describes none and a device that is not there, Failure where not all ranks
    have started after `wait_minutes`.
    """
    size, rank, local = _read_environment()
    if size == 1:
        yield World(0, 1, torch_device(device), wait_minutes)
        return
    place = torch_device(_device_of_rank(device, local))
    backend = "nccl" if place.type == "cuda" else "gloo"
    if place.type == "cuda":
        torch.cuda.set_device(place)
    limit = timedelta(minutes=wait_minutes)
    with ExitStack() as stack:
        try:
            if not dist.is_initialized():
                dist.init_process_group(backend, timeout=limit)
                stack.callback(dist.destroy_process_group)
            control, after_loss = (dist.new_group(backend="gloo", timeout=limit) for _ in range(2))
        except (RuntimeError, ValueError) as error:
            where = ":".join(os.environ.get(name, "") for name in MEETING)
            raise Failure(
                f"train: expected all {size} ranks to start within {wait_minutes:g} minutes and to meet at {where}; "
                f"rank {rank} got: {_sentence(error)}"
            ) from None
        yield World(rank, size, place, wait_minutes, control, after_loss)


ALONE = {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"}
MEETING = ("MASTER_ADDR", "MASTER_PORT")


def _read_environment() -> tuple[int, int, int]:
    """How many ranks there are, which this is, and which of this machine's, by the environment."""
    told = {name: os.environ.get(name, alone) for name, alone in ALONE.items()}
    for name, value in told.items():
        if not value.isdecimal():
            raise UsageError(f"{name}: expected a number, as torchrun sets it, got {value!r}")
    size, rank, local = map(int, told.values())
    for name in ("RANK", *MEETING) if size > 1 else ():
        if name not in os.environ:
            raise UsageError(f"{name}: expected one beside WORLD_SIZE {size}, as torchrun sets it, got none")
    if rank >= size:
        raise UsageError(f"RANK: expected less than WORLD_SIZE, {size}, got {rank}")
    return size, rank, local


def _ranks_named_in(error: RuntimeError) -> str | None:
    """The ranks that the first one waited for in vain, where a monitored barrier's error names them."""
    named = RANKS.search(str(error).partition("failed to pass")[0].rpartition("]")[2])
    return f"rank {named[1].strip(' ,')}" if named else None


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _device_of_rank(device: str, local_rank: int) -> str:
    """`auto` and `cuda` mean a GPU for each rank of a machine."""
    if device == "auto" and torch.cuda.is_available():
        device = "cuda"
    if device.startswith("cuda:"):
        raise UsageError(f"train.device: expected auto, cpu or cuda for several ranks, got {device!r}")
    return f"cuda:{local_rank}" if device == "cuda" else device
