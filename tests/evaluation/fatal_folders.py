"""Folders for rows that kill a process when the row of VICTIM is about to be written: a kill at an exact moment."""

import multiprocessing
import os
import signal
from pathlib import Path

from base.progress import SILENT
from evaluation.picture_metrics import Networks
from evaluation.protocol import read_protocol
from evaluation.running import score_objects
from evaluation.scoring import ScoringJob

VICTIM = "egg"


class KillsWorker(type(Path())):  # type: ignore[misc]
    """Kills the worker that measured VICTIM."""

    def __truediv__(self, name: str) -> Path:
        _kill_for(name, os.getpid())
        return Path(self, name)


class KillsParent(type(Path())):  # type: ignore[misc]
    """Kills the parent of the worker that measured VICTIM, and notes all workers beside the folder."""

    def __truediv__(self, name: str) -> Path:
        if parent := multiprocessing.parent_process():
            Path(f"{self}.worker-{os.getpid()}").touch()
            _kill_for(name, parent.pid or 0)
        return Path(self, name)


def _kill_for(name: str, pid: int) -> None:
    # The parent reads rows, too; only workers are at risk.
    if name == f"{VICTIM}.json" and multiprocessing.current_process().daemon:
        os.kill(pid, signal.SIGKILL)


def score_until_killed(protocol: str, data: str, predictions: str, rows: str) -> int:
    """Score with two workers into a folder that kills this process, to be passed to `Forked`."""
    job = ScoringJob(read_protocol(protocol), Path(data), Path(predictions), Networks(), KillsParent(rows))
    score_objects(job, 2, SILENT)
    return 0
