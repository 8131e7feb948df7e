"""Small real builds: two objects of the examples, a few tiny views."""

import functools
import shutil
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import yaml

from base.progress import Progress, SilentTask, Task
from base.settings import Layer, validate
from base.storage import Storage
from pipeline.builder import BuildSettings
from pipeline.catalog.changes import Changes
from pipeline.catalog.columns import table_of
from pipeline.catalog.rows import ObjectRow
from pipeline.cluster import FinishedJob
from pipeline.cluster.actor import RunnerFactory
from pipeline.fetch.limiter import Buckets
from pipeline.settings import RunSettings
from pipeline.work.pack import PackJob
from pipeline.work.worker import Job, WorkerSpec

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "objects"

TINY = {
    "run": {"workers": 1, "cpus_per_worker": 1.0},
    "shards": {"objects_per_shard": 2, "val_fraction": 0.0},
    "render": {"hw": [32, 32], "views": 2, "samples": 1, "denoise": {"enabled": False}},
}


@functools.cache
def shipped_settings() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "pipeline.yaml").read_text())["metadata"]["pipeline"]


def tiny(root: Path, models: Path, **sections: dict[str, Any]) -> BuildSettings:
    """The shipped settings, shrunk: 2 views of 32 × 32 pixels, shards of 2 objects."""
    shipped = shipped_settings()
    asked = {name: shipped[name] for name in ("storage", "objects", "run", "render", "shards")}
    nothing = {"fetch": {"cache_mb": 0}, "objaverse": {"downloaded": ""}, "filter": {"unstated_licence": "any"}}
    here = {"storage": {"root": str(root)}, "objects": {"folder": str(models), **nothing}}
    layers = [Layer("pipeline.yaml", asked), Layer("tiny", TINY), Layer("here", here), Layer("test", sections)]
    return validate(BuildSettings, *layers)


def models(folder: Path, *names: str) -> Path:
    """A folder with some of the example objects."""
    folder.mkdir(exist_ok=True)
    for name in names:
        shutil.copy(EXAMPLES / f"{name}.glb", folder)
    return folder


def files(root: Path, *below: str) -> dict[str, bytes]:
    """Every file below a folder by its relative name."""
    folders = [root / name for name in below] or [root]
    paths = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


def changes(*rows: ObjectRow, gone: Sequence[str] = ()) -> Changes:
    """What puts these rows into a catalogue and says of others that they are gone."""
    uids = np.sort(np.array([one.uid for one in rows], np.bytes_))
    return Changes(uids, lambda: [table_of(ObjectRow, rows)], np.array(gone, np.bytes_))


class Alone:
    """A crew of one, without Ray, in this very process; it takes the place of `pipeline.run.Crew`."""

    in_flight, workers = 0, 1

    def __init__(self, run: RunSettings, spec: WorkerSpec, make: RunnerFactory, builder: str) -> None:
        self.worker = make(spec, Buckets(spec.fetch.requests, spec.fetch.window_s))
        self.jobs: deque[Job] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.worker.close()

    def replace_builders(self, builders: Collection[str]) -> None:
        assert not builders

    def submit(self, job: Job, *, soon: bool = False) -> None:
        (self.jobs.appendleft if soon else self.jobs.append)(job)

    def give_up_items(self) -> None:
        self.jobs = deque(job for job in self.jobs if isinstance(job, PackJob))

    @property
    def waiting(self) -> int:
        return len(self.jobs)

    def results(self) -> Iterator[FinishedJob]:
        while self.jobs:
            job = self.jobs.popleft()
            yield FinishedJob(job, self.worker.do(job))


class Told(Progress):
    """Remembers what was said, and calls `on_advance` whenever work advances."""

    def __init__(self, on_advance: Any = None) -> None:
        self.lines: list[str] = []
        self.on_advance = on_advance

    def task(self, name: str, *, total: float, unit: str, done: float = 0) -> Task:
        told = self

        class Watched(SilentTask):
            def advance(self, amount: float = 1, *, note: str = "") -> None:
                if told.on_advance:
                    told.on_advance()

        return Watched()

    def say(self, line: str) -> None:
        self.lines.append(line)


def storage(settings: BuildSettings) -> Storage:
    return Storage(settings.storage.root)
