"""The supervised Blender child: it renders one object at a time, and its crash or hang is a plain result."""

import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from base.child_process import ChildDeath, ChildProcess
from base.errors import Failure
from base.outcomes import Outcome
from base.stopwatch import Stopwatch
from base.storage import error_path, reason
from render.answer import max_phases, read_phase, read_result
from render.formats.model_files import ModelFiles
from render.job import RenderJob, RenderResult
from render.kernels import kernel_caches
from render.phases import CYCLES_REPORT, measure_phases
from render.settings import RenderSettings
from render.staging import stage_model

COMMAND = (sys.executable, "-P", "-m", "render.blender")
GPU_VARIABLES = (
    "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES",
    "ONEAPI_DEVICE_SELECTOR",
)  # fmt: skip
"""Variables of Ray or of a person for the visible GPUs; a child takes the first of these GPUs."""
PASSED_VARIABLES = ("PATH", "LD_LIBRARY_PATH", *GPU_VARIABLES)


class RenderChild:
    """A persistent Blender process, started on first use and again after a death; a context manager.

    `command` replaces our Blender program; tests use it for programs with faults. `watch` is called with each phase as
    it begins; `view` and `encode` begin once for every view, and once more for its passes.
    """

    def __init__(self, settings: RenderSettings, command: Sequence[str] = COMMAND) -> None:
        self.settings = settings
        self.hello: dict[str, Any] = {}
        self.watch: Callable[[str], None] = lambda _phase: None
        self._command = command
        self._process: ChildProcess | None = None
        self._rendered = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process and remove its files; a later `render` starts another process."""
        if self._process is not None:
            self._process.end()
        self._process = None

    @property
    def peak_mb(self) -> float:
        """The peak resident memory of the running process in MiB; 0 without a process."""
        return self._process.peak_mb() if self._process is not None else 0.0

    @property
    def isolation(self) -> str:
        """The isolation of the newest process from network and files, as text; empty before the first process."""
        stood = self.hello.get("walls", {})
        return ", ".join(f"{name} {wall}" for name, wall in sorted(stood.items()) if wall != "none")

    def render(self, job: RenderJob, files: ModelFiles | None = None) -> RenderResult:
        """Render one object, given what its check found; on ok, `job.out_dir` holds all of `job.files`.

        Crash, hang and out-of-memory are results. Raises Failure only when Blender cannot be started at all, or when
        a file of the job cannot be read or written.
        """
        started = time.monotonic()
        try:
            process = self._ready()
            start_s = time.monotonic() - started
            clock = Stopwatch("import")
            files = files or ModelFiles(suffix=Path(job.file).suffix.lower())
            result = self._render_with(process, job, files, clock)
        except ChildDeath as death:
            clock.stop()
            # Read before `close`, which removes the log.
            tail, seconds = process.log_tail(), measure_phases(start_s, clock.seconds, process.log())
            self.close()
            sentence = f"{death} (phase {clock.phase})"
            return RenderResult(
                outcome=death.outcome, reason=sentence, phase=clock.phase, seconds=seconds, stderr_tail=tail
            )
        except OSError as error:
            self.close()
            raise Failure(f"{job.uid}: could not handle {error_path(error) or 'its files'}: {reason(error)}") from error
        except BaseException:
            self.close()
            raise
        seconds = measure_phases(start_s, result.seconds, process.log())
        tail = "" if result.outcome is Outcome.OK else process.log_tail()
        return replace(result, seconds=seconds, stderr_tail=tail)

    def _ready(self) -> ChildProcess:
        if self._process is not None and self._is_worn(self._process):
            self.close()
        if self._process is None:
            self._process = self._start()
            self._rendered = 0
        return self._process

    def _is_worn(self, process: ChildProcess) -> bool:
        limits = self.settings.child
        return self._rendered >= limits.recycle_after or process.rss_mb() > limits.recycle_above_mb

    def _start(self, *, again: bool = True) -> ChildProcess:
        """Start a process and wait until it is ready; try once more after a kill or a lack of memory."""
        limits = self.settings.child
        process = ChildProcess([*self._command, self.settings.device], _environment(self.settings))
        try:
            self.hello = process.receive(timeout_s=limits.start_timeout_s, memory_mb=limits.memory_mb)
            if "ready" not in self.hello:
                raise Failure(f"Blender cannot render here: {self.hello.get('refused', 'it said no more')}")
        except ChildDeath as death:
            last_line = (process.log_tail().strip().splitlines() or ["it printed nothing"])[-1]
            process.end()
            # Other programs may have needed the memory for a moment.
            if again and death.outcome is Outcome.OUT_OF_MEMORY:
                return self._start(again=False)
            raise Failure(f"expected Blender to start, got: {death}: {last_line}") from None
        except BaseException:
            process.end()
            raise
        return process

    def _render_with(self, process: ChildProcess, job: RenderJob, files: ModelFiles, clock: Stopwatch) -> RenderResult:
        self._rendered += 1
        # The log of this object alone: its end goes into the record of the attempt.
        process.clear_log()
        private = _private_copy(job, files, process.folder / "job")
        (process.folder / "job.json").write_text(private.to_json(), encoding="utf-8")
        process.send({"job": "job.json"})
        result = self._answer(process, job, clock)
        if result.outcome is Outcome.OK:
            _collect(private, Path(job.out_dir))
        # Each object gets an empty folder, so nothing of the one before can leak into it.
        shutil.rmtree(process.folder / "job")
        return result

    def _answer(self, process: ChildProcess, job: RenderJob, clock: Stopwatch) -> RenderResult:
        limits = self.settings.child
        # Bounded: each message restarts the deadline, so a child could announce phases for ever.
        for _ in range(max_phases(job) + 1):
            # Per phase: a limit for the whole object would depend on the number of views.
            timeout_s = limits.view_timeout_s if clock.phase == "view" else limits.import_timeout_s
            message = process.receive(timeout_s=timeout_s, memory_mb=limits.memory_mb)
            if phase := read_phase(message):
                clock.begin(phase)
                self.watch(phase)
                continue
            try:
                return read_result(message, job)
            except ValueError:
                sentence = f"expected a phase or a result from the child, got {str(message)[:60]!r}"
                raise ChildDeath(Outcome.CRASH, sentence) from None
        raise ChildDeath(Outcome.CRASH, "expected a result from the child, got phases without end")


def _environment(settings: RenderSettings) -> dict[str, str]:
    """The environment of the child: paths of programs and visible GPUs, without secrets."""
    # Only named variables: the others may hold tokens and passwords.
    kept = {name: os.environ[name] for name in PASSED_VARIABLES if name in os.environ}
    root = str(Path(__file__).parents[1])
    fixed = {"PYTHONPATH": root, "PYTHONUNBUFFERED": "1", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(settings.child.threads))
    return {**kept, **fixed, **threads, **CYCLES_REPORT, **kernel_caches(settings.device)}


def _private_copy(job: RenderJob, files: ModelFiles, folder: Path) -> RenderJob:
    """Return the same job on copies of its files; the child cannot reach the originals."""
    (folder / "out").mkdir(parents=True)
    copy = stage_model(Path(job.file), files, folder / "in")
    settings = _with_private_map(job, folder / "maps")
    return replace(
        job,
        file=str(copy),
        root=str(folder / "in"),
        pictures=dict(files.pictures),
        out_dir=str(folder / "out"),
        settings=settings,
    )


def _with_private_map(job: RenderJob, folder: Path) -> dict[str, Any]:
    """The job's settings, with a copy in `folder` of the environment map of this job."""
    light, lights = job.settings["light"], job.settings["lights"]
    if lights[light]["maps"] is None:
        return job.settings
    folder.mkdir()
    for name in {light["map"] for light in job.lights if light.get("map")}:
        shutil.copyfile(Path(lights[light]["maps"]).expanduser() / name, folder / name)
    return {**job.settings, "lights": {**lights, light: {**lights[light], "maps": str(folder)}}}


def _collect(private: RenderJob, out_dir: Path) -> None:
    out_dir.mkdir(parents=True, exist_ok=True)
    for name in private.files:
        source = Path(private.out_dir) / name
        # A hostile model could make the child leave a link to a file of ours.
        if source.is_symlink() or not source.is_file():
            raise ChildDeath(Outcome.CRASH, f"expected {name} from the child, got no such file")
        shutil.move(source, out_dir / name)
