"""A worker that renders nothing: each object's title says what happens to it, and a file what was begun when."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from pipeline.catalog.objects import SourceObject
from pipeline.catalog.rows import Attempt
from pipeline.cluster import Crew
from pipeline.fetch.limiter import Gate
from pipeline.work.pack import PackJob, PackResult
from pipeline.work.render_stage import RenderStage
from pipeline.work.worker import ItemJob, Job, WorkerSpec
from tests.pipeline.builds import tiny


class StubWorker:
    """`quick`, `slow` (0.2 s), `long` (60 s), or `deadly`: the machine kills its worker."""

    def __init__(self, spec: WorkerSpec, gate: Gate) -> None:
        self.log, self.phase = Path(spec.root) / "log", ""

    def do(self, job: Job) -> Attempt | PackResult:
        if isinstance(job, PackJob):
            return PackResult(job.number, ())
        self._note(job, "begins")
        self.phase = "sample"
        if job.item.title == "deadly":
            time.sleep(0.2)
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep({"quick": 0.0, "slow": 0.2, "long": 60.0}[job.item.title])
        self._note(job, "ends")
        import ray

        node = ray.get_runtime_context().get_node_id()
        devices = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        known = {"attempt": job.item.uid, "run": "", "uid": job.item.uid}
        return Attempt(**known, outcome="ok", seconds={"sample": 0.3}, host=node, device=devices)

    def close(self) -> None:
        return None

    def _note(self, job: ItemJob, what: str) -> None:
        with self.log.open("a") as stream:
            stream.write(f"{job.item.uid} {what}\n")


def stub_job(kind: str, name: str) -> ItemJob:
    return ItemJob(SourceObject(uid=name, source="folder", location=f"{name}.glb", title=kind))


def stub_jobs(kind: str, count: int) -> list[ItemJob]:
    return [stub_job(kind, f"{kind}{number}") for number in range(count)]


def stub_spec(root: Path) -> WorkerSpec:
    settings = tiny(root, root)
    return WorkerSpec(
        "run",
        str(root),
        RenderStage("folder", settings.render, 0),
        settings.objects.fetch,
        settings.objects.objaverse,
        "",
    )


def worked_off(crew: Crew, enough: Callable[[list[Attempt]], bool] = lambda _: True) -> list[Attempt]:
    """What the jobs of a crew ended with; `enough` looks at it each time that something or nothing came.

    As long as it says no there is one more job for each that ended: how long a node takes to start is not ours to say.
    """
    ends: list[Attempt] = []
    deadline = time.monotonic() + 300
    for done in crew.results():
        assert time.monotonic() < deadline, ends
        if done is not None:
            assert isinstance(done.answer, Attempt)
            ends.append(done.answer)
        if not enough(ends) and done is not None:
            crew.submit(stub_job("slow", f"more{len(ends)}"))
    return ends
