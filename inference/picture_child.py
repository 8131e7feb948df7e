"""The supervised child with a model: it makes a picture's views, and its crash or hang is a plain result."""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from base.child_process import ChildDeath, ChildProcess
from base.errors import Failure
from base.outcomes import Outcome
from base.stopwatch import Stopwatch
from base.typed import parse_typed_json
from inference.picture_request import ChildSetup, ModelFacts, PictureJob, PictureJobs, PictureResult
from inference.settings import PictureChildSettings

COMMAND = (sys.executable, "-P", "-m", "inference.picture_program")
PHASES = ("prepare", "elevation", "sample", "reconstruct", "turntable", "encode")
MOST_PHASES = 100_000
PASSED_VARIABLES = (
    "PATH", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES", "CUBLAS_WORKSPACE_CONFIG", "HF_ENDPOINT", "HF_HUB_OFFLINE", "SSL_CERT_FILE",
)  # fmt: skip
"""Variables for programs, GPUs and public models. The others may hold tokens."""
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True, kw_only=True)
class PictureEnd:
    """The result of a picture, with the most memory of the child in MiB and the end of its output."""

    result: PictureResult
    peak_mb: float = 0.0
    stderr_tail: str = ""


@dataclass
class PictureChild:
    """A process with a loaded model, started on first use and again after a death.

    `expected` is the digest of the model that the driver found. `watch` is called with each phase as it begins.
    """

    setup: ChildSetup
    limits: PictureChildSettings
    expected: str = ""
    command: Sequence[str] = COMMAND
    watch: Callable[[str], None] = lambda _phase: None
    facts: ModelFacts | None = None
    _process: ChildProcess | None = field(default=None, repr=False)

    def make(self, jobs: Sequence[PictureJob]) -> list[PictureEnd]:
        """Make the views or the mesh of some pictures, in order.

        Raises Failure when the model cannot be loaded here or a disk is full.
        """
        started = time.monotonic()
        process = self._ready()
        start_s, clock = time.monotonic() - started, Stopwatch("prepare")
        try:
            results = self._answer(process, jobs, clock)
        except ChildDeath as death:
            clock.stop()
            # Read before `close`, which removes the log.
            tail, peak_mb = process.log_tail(), process.peak_mb()
            self.close()
            # A death is held against a picture that was alone.
            if len(jobs) > 1:
                return [end for job in jobs for end in self.make([job])]
            reason = f"{death} (phase {clock.phase})"
            results = [PictureResult(outcome=death.outcome, reason=reason, phase=clock.phase, seconds=clock.seconds)]
        except BaseException:
            self.close()
            raise
        else:
            tail, peak_mb = process.log_tail(), process.peak_mb()
        return [
            PictureEnd(
                result=replace(result, seconds={"start": start_s / len(jobs), **result.seconds}),
                peak_mb=peak_mb,
                stderr_tail="" if result.outcome == Outcome.OK else tail,
            )
            for result in results
        ]

    def describe(self) -> ModelFacts:
        """Load the model and return its facts."""
        self._ready()
        if self.facts is None:
            raise Failure("expected the facts of a model from its child, got nothing")
        return self.facts

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.end()
        self._process = None

    def _ready(self) -> ChildProcess:
        if self._process is not None and self._process.rss_mb() > self.limits.recycle_above_mb:
            self.close()
        self._process = self._process or self._start()
        return self._process

    def _start(self, *, again: bool = True) -> ChildProcess:
        """Start a process and wait until its model is loaded; try once more after a kill or a lack of memory."""
        process = ChildProcess(self.command, _environment(self.limits))
        try:
            process.send(asdict(self.setup))
            hello = process.receive(timeout_s=self.limits.start_timeout_s, memory_mb=self.limits.memory_mb)
            if "ready" not in hello:
                raise Failure(str(hello.get("refused", "expected a model, got no more words from its child")))
            self.facts = ModelFacts(**{**hello["ready"], "hw": tuple(hello["ready"]["hw"])})
            if self.expected not in ("", self.facts.digest):
                raise Failure(f"expected the driver's model {self.expected}, got {self.facts.digest} on this machine")
        except ChildDeath as death:
            last_line = (process.log_tail().strip().splitlines() or ["it printed nothing"])[-1]
            process.end()
            # Other programs may have needed the memory for a moment.
            if again and death.outcome is Outcome.OUT_OF_MEMORY:
                return self._start(again=False)
            raise Failure(f"expected the model's process to start, got: {death}: {last_line}") from None
        except BaseException:
            process.end()
            raise
        return process

    def _answer(self, process: ChildProcess, jobs: Sequence[PictureJob], clock: Stopwatch) -> list[PictureResult]:
        # The log of these pictures alone: its end goes into the record of the attempt.
        process.clear_log()
        process.send(asdict(PictureJobs(jobs=tuple(jobs))))
        # Bounded: each message restarts the deadline, so a child could announce phases for ever.
        for _ in range(MOST_PHASES):
            message = process.receive(timeout_s=self.limits.phase_timeout_s, memory_mb=self.limits.memory_mb)
            if (phase := message.get("phase")) in PHASES:
                clock.begin(phase)
                self.watch(phase)
            elif "failed" in message:
                raise Failure(f"{jobs[0].uid}: {message['failed']}")
            else:
                return _results(message, len(jobs))
        raise ChildDeath(Outcome.CRASH, "expected a result from the child, got phases without end")


def _results(message: Mapping[str, Any], count: int) -> list[PictureResult]:
    try:
        results = [parse_typed_json(PictureResult, json.dumps(result)) for result in message["results"]]
        for result in results:
            Outcome(result.outcome)
    except (KeyError, ValueError, TypeError):
        results = []
    if len(results) != count:
        raise ChildDeath(Outcome.CRASH, f"expected a phase or {count} results, got {str(message)[:60]!r}")
    return results


def _environment(limits: PictureChildSettings) -> dict[str, str]:
    kept = {name: os.environ[name] for name in PASSED_VARIABLES if name in os.environ}
    # The child's home is a private folder, but public models are in this user's cache.
    cache = os.environ.get("HF_HOME") or str(Path("~/.cache/huggingface").expanduser())
    fixed = {"PYTHONPATH": str(Path(__file__).parents[1]), "PYTHONUNBUFFERED": "1", "LANG": "C.UTF-8", "HF_HOME": cache}
    return {**kept, **fixed, **dict.fromkeys(THREADS, str(limits.threads))}
