"""Folders that kill a process when an object's file in them is about to be used: a kill at an exact moment."""

import multiprocessing
import os
import signal
from pathlib import Path

from app.settings import load_settings
from base.progress import SILENT
from evaluation import score_crew
from evaluation.picture_metrics import Networks
from evaluation.protocol import read_protocol
from evaluation.running import score_objects
from evaluation.score_crew import CrewSettings
from evaluation.scoring import ScoringJob
from tests.pipeline.builds import Alone

VICTIM = "egg"


class KillsWorker(type(Path())):  # type: ignore[misc]
    """Kills the worker that measured VICTIM."""

    def __truediv__(self, name: str) -> Path:
        _kill_for(name, os.getpid())
        return Path(self, name)


class KillsParent(type(Path())):  # type: ignore[misc]
    """Kills the parent of the worker that measured the object in the name of its folder's parent, `at-UID`.

    All workers are noted beside that parent.
    """

    def __truediv__(self, name: str) -> Path:
        if parent := multiprocessing.parent_process():
            Path(f"{self.parent}.worker-{os.getpid()}").touch()
            _kill_for(name, parent.pid or 0, self.parent.name.removeprefix("at-"))
        return Path(self, name)


class KillsItself(type(Path())):  # type: ignore[misc]
    """Kills this process when it is about to keep the rows of the object in the name of its parent, `at-UID`."""

    asked = 0

    def __truediv__(self, name: str) -> Path:
        # First it asks for earlier rows, then it keeps new ones.
        KillsItself.asked += name == f"{self.parent.name.removeprefix('at-')}.json"
        if KillsItself.asked == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return Path(self, name)


def _kill_for(name: str, pid: int, victim: str = VICTIM) -> None:
    # The parent reads rows, too; only workers are at risk.
    if name == f"{victim}.json" and multiprocessing.current_process().daemon:
        os.kill(pid, signal.SIGKILL)


def score_until_killed(protocol: str, data: str, predictions: str, rows: str) -> int:
    """Score with two workers into a folder that kills this process, to be passed to `Forked`."""
    job = ScoringJob(read_protocol(protocol), Path(data), Path(predictions), Networks(), KillsParent(rows))
    score_objects(job, 2, SILENT)
    return 0


def score_on_crew_until_killed(protocol: str, data: str, predictions: str, rows: str) -> int:
    """Score by a crew of one into a folder that kills this process, to be passed to `Forked`."""
    score_crew.Crew = Alone  # type: ignore[misc,assignment]
    job = ScoringJob(read_protocol(protocol), Path(data), Path(predictions), Networks(), KillsItself(rows))
    score_objects(job, crew_settings(), SILENT)
    return 0


def crew_settings() -> CrewSettings:
    """The shipped settings of a crew."""
    settings = load_settings(None)
    return CrewSettings(settings.run, settings.objects.fetch, settings.objects.objaverse)
