"""The cost of a stage: wall seconds, and the peak memory of this process with all its descendants."""

import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SAMPLE_EVERY_S = 0.5


@dataclass(frozen=True, kw_only=True)
class StageCost:
    """One stage's wall time and its peak memory in MB, with shared pages counted once (PSS)."""

    name: str
    seconds: float
    peak_mb: float


class Meter:
    """Collects the cost of each stage that runs inside `with meter.stage(name)`."""

    def __init__(self) -> None:
        self.stages: list[StageCost] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure the block, and record its cost even when it fails."""
        finished = threading.Event()
        peak = [tree_memory_mb()]

        def watch() -> None:
            while not finished.wait(SAMPLE_EVERY_S):
                peak[0] = max(peak[0], tree_memory_mb())

        watcher = threading.Thread(target=watch, daemon=True)
        started = time.monotonic()
        watcher.start()
        try:
            yield
        finally:
            seconds = time.monotonic() - started
            finished.set()
            watcher.join()
            # Measured once more: a short stage may end between two samples.
            self.stages.append(StageCost(name=name, seconds=seconds, peak_mb=max(peak[0], tree_memory_mb())))


def tree_memory_mb(root: int | None = None) -> float:
    """Sum the proportional set sizes of a process (default: this process) and its descendants, in MB. Linux only."""
    return sum(_pss_kb(pid) for pid in _tree(root or os.getpid())) * 1024 / 1e6


def _tree(root: int) -> Iterator[int]:
    children = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            children[_parent(int(entry.name))].append(int(entry.name))
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        yield pid
        waiting.extend(children[pid])


def _parent(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:  # the process ended between listing and reading
        return 0
    # The command name comes before it in parentheses, and may contain any character.
    return int(stat.rpartition(")")[2].split()[1])


def _pss_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    # PSS, because processes forked from a server share most pages, and RSS would count them in each.
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
