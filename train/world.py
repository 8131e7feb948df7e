"""The ranks of a run, and their communication beside gradients.

A rank is a process with its device. torchrun and Ray Train start ranks and describe them in the environment. Without
them a run is a world of size 1, without any communication.
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
"""How long the remaining ranks wait for each other after a loss. They notice it at about the same time."""


@dataclass
class World:
    """Rank `rank` of `size` on `device`.

    `control` is a process group on the CPU, None for size 1. `after_loss` is a spare, because a group is unusable after
    a failure. `stage` names the last barrier, for the message about a rank lost after it.
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

    def barrier(self, stage: str) -> None:
        """Wait for every rank. Raises Failure with the missing ranks after `wait_minutes`."""
        self.stage = stage
        if self.size == 1:
            return
        limit = timedelta(minutes=self.wait_minutes)
        try:
            # Unlike other collectives, this barrier names the missing ranks.
            dist.monitored_barrier(self.control, limit, wait_all_ranks=True)
        except RuntimeError as error:
            raise Failure(
                f"{stage}: expected all {self.size} ranks within {self.wait_minutes:g} minutes; "
                f"rank {self.rank} waited for {self._missing(error)}"
            ) from None

    def _missing(self, error: RuntimeError) -> str:
        if not self.first:
            return "rank 0, which says on whom it waited"
        return _ranks_named_in(error) or f"a rank that is gone: {_sentence(error)}"

    def any_rank(self, flag: bool) -> bool:
        """Whether `flag` is true in any rank. Every rank must call this. Raises Failure for a lost rank."""
        if self.size == 1:
            return flag
        total = torch.tensor([float(flag)])
        with self.collective():
            # NCCL, the group of gradients, takes no tensors on the CPU.
            dist.all_reduce(total, group=self.control)
        return bool(total > 0)

    def sum(self, values: Tensor) -> Tensor:
        """Sum `values` over all ranks, in place, on their device. Raises Failure for a lost rank."""
        if self.size > 1:
            with self.collective():
                dist.all_reduce(values)
        return values

    def gather(self, value: T) -> list[T]:
        """Gather a plain Python value from every rank, in the order of ranks. Raises Failure for a lost rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        with self.collective():
            dist.all_gather_object(values, value, group=self.control)
        return values

    @contextmanager
    def collective(self) -> Iterator[None]:
        """Run a block with communication; raise Failure if a rank is lost in it."""
        try:
            yield
        except RuntimeError as error:
            if self.size == 1 or isinstance(error, torch.OutOfMemoryError) or not LOST.search(str(error)):
                raise
            raise Failure(
                f"{self.stage}: rank {self.rank} lost {self._lost()} while they worked together: {_sentence(error)}"
            ) from None

    def _lost(self) -> str:
        """Name the lost rank: the remaining ranks meet once more, and the first rank sees the missing ones."""
        try:
            dist.monitored_barrier(self.after_loss, AFTER_LOSS, wait_all_ranks=True)
        except RuntimeError as error:
            if self.first and (named := _ranks_named_in(error)):
                return named
        return "another rank"


@contextmanager
def world_for(device: str, wait_minutes: float) -> Iterator[World]:
    """Join the world in the launcher's environment.

    Raises UsageError for an invalid environment or a missing device, and Failure unless all ranks start within
    `wait_minutes`.
    """
    size, rank, local = _read_environment()
    if size == 1:
        yield World(0, 1, torch_device(device), wait_minutes)
        return
    own = torch_device(_device_of_rank(device, local))
    backend = "nccl" if own.type == "cuda" else "gloo"
    if own.type == "cuda":
        # NCCL uses the current device, and every rank would take the first.
        torch.cuda.set_device(own)
    limit = timedelta(minutes=wait_minutes)
    with ExitStack() as stack:
        try:
            # Ray Train has made the group already.
            if not dist.is_initialized():
                dist.init_process_group(backend, timeout=limit)
                stack.callback(dist.destroy_process_group)
            # Both now: after a loss no group can be made, since that too needs every rank.
            control, after_loss = (dist.new_group(backend="gloo", timeout=limit) for _ in range(2))
        except (RuntimeError, ValueError) as error:
            address = ":".join(os.environ.get(name, "") for name in MEETING)
            raise Failure(
                f"train: expected all {size} ranks to start within {wait_minutes:g} minutes and to meet at {address}; "
                f"rank {rank} got: {_sentence(error)}"
            ) from None
        yield World(rank, size, own, wait_minutes, control, after_loss)


ALONE = {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"}
MEETING = ("MASTER_ADDR", "MASTER_PORT")


def _read_environment() -> tuple[int, int, int]:
    """Read (world size, rank, local rank) from the environment."""
    given = {name: os.environ.get(name, alone) for name, alone in ALONE.items()}
    for name, value in given.items():
        if not value.isdecimal():
            raise UsageError(f"{name}: expected a number, as torchrun sets it, got {value!r}")
    size, rank, local = map(int, given.values())
    for name in ("RANK", *MEETING) if size > 1 else ():
        if name not in os.environ:
            raise UsageError(f"{name}: expected one beside WORLD_SIZE {size}, as torchrun sets it, got nothing")
    if rank >= size:
        raise UsageError(f"RANK: expected less than WORLD_SIZE, {size}, got {rank}")
    return size, rank, local


def _ranks_named_in(error: RuntimeError) -> str | None:
    """Return the missing ranks named in a monitored barrier's error, if any."""
    named = RANKS.search(str(error).partition("failed to pass")[0].rpartition("]")[2])
    return f"rank {named[1].strip(' ,')}" if named else None


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _device_of_rank(device: str, local_rank: int) -> str:
    """Return the device of a rank: `auto` and `cuda` mean a GPU for each rank of a machine."""
    if device == "auto" and torch.cuda.is_available():
        device = "cuda"
    # All ranks of a machine would share that GPU.
    if device.startswith("cuda:"):
        raise UsageError(f"train.device: expected auto, cpu or cuda for several ranks, got {device!r}")
    return f"cuda:{local_rank}" if device == "cuda" else device
