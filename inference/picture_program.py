"""The child of a worker on many pictures: it keeps the model loaded, and makes what each line asks for.

    python -m inference.picture_program CHANNEL PARENT

Lines from standard input: the setup, then some jobs each. Messages on the file descriptor CHANNEL: the model's facts,
then for each line its phases and the results of its jobs. It ends with its input, and with the process PARENT.
"""

import ctypes
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from base.digest import sha256_file
from base.errors import Failure, UsageError
from base.outcomes import Outcome
from base.settings import Layer, validate
from base.stopwatch import Stopwatch
from base.typed import parse_typed_json
from inference.models import ModelChoice, checkpoint_of, load_model
from inference.picture_mesh import write_picture_mesh
from inference.picture_request import (
    MESH,
    ChildSetup,
    MeshesRequest,
    ModelFacts,
    PictureJob,
    PictureJobs,
    PictureResult,
    PictureSections,
    ViewsRequest,
)
from inference.picture_views import (
    MOST_ON_CPU,
    Pixels,
    PlannedViews,
    UnusablePicture,
    plan_picture_views,
    sample_planned,
    write_planned,
)
from inference.sample_photo import LoadedModel
from photo.cutout import check_method
from zero123.digest import model_digest

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
Request = ViewsRequest | MeshesRequest
Send = Callable[[dict[str, Any]], None]
PR_SET_PDEATHSIG = 1
REASON_LETTERS = 500


def main(arguments: Sequence[str]) -> int:
    """Answer until the input ends."""
    channel, parent = map(int, arguments)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # The parent may have ended before the line above.
    if os.getppid() != parent:
        return 1

    def send(message: dict[str, Any]) -> None:
        data = json.dumps(message).encode() + b"\n"
        # A pipe may take only part of a long line.
        while data:
            data = data[os.write(channel, data) :]

    setup = parse_typed_json(ChildSetup, sys.stdin.readline())
    try:
        sections = validate(PictureSections, Layer("the settings", setup.sections))
        model = _load(setup.model, setup.device, sections)
    except (UsageError, Failure) as error:
        send({"refused": str(error)})
        return 1
    send({"ready": asdict(_facts(model))})
    if setup.request is not None:
        for line in sys.stdin:
            send(_answer(line, model, _on_device(sections, model), setup.request, send))
    return 0


def _load(choice: ModelChoice, device: str, sections: PictureSections) -> LoadedModel:
    # First, because a network for the cut-out without its weights would fail every picture.
    check_method(sections.photo)
    pipeline = load_model(choice, device, sections.sample.compute)
    return LoadedModel(pipeline=pipeline, digest=model_digest(checkpoint_of(choice)), source=choice.title)


def _facts(model: LoadedModel) -> ModelFacts:
    pipeline = model.pipeline
    sampling = pipeline.defaults.model_dump(mode="json")
    return ModelFacts(
        digest=model.digest,
        hw=pipeline.hw,
        pose_slot4=pipeline.pose_slot4,
        sampling=sampling,
        device=_device_text(pipeline.device),
    )


def _device_text(device: "torch.device") -> str:
    """Return the device as attempts record it."""
    import torch

    name = f", name {torch.cuda.get_device_name(device)}" if device.type == "cuda" else ""
    return f"kind {device.type.upper()}{name}"


def _on_device(sections: PictureSections, model: LoadedModel) -> PictureSections:
    """Return the sections with a fixed batch on a CPU: free memory must not decide about the last bit of a pixel."""
    compute = sections.sample.compute
    if compute.views_at_once or model.pipeline.device.type != "cpu":
        return sections
    fixed = compute.model_copy(update={"views_at_once": MOST_ON_CPU})
    return sections.model_copy(update={"sample": sections.sample.model_copy(update={"compute": fixed})})


def _answer(line: str, model: LoadedModel, sections: PictureSections, request: Request, send: Send) -> dict[str, Any]:
    jobs, results = parse_typed_json(PictureJobs, line).jobs, list[PictureResult]()
    # On a CPU each alone: what is beside a picture in a batch can change the last bits of its pixels.
    together = isinstance(request, ViewsRequest) and model.pipeline.device.type != "cpu"
    try:
        for part in [jobs] if together else [(job,) for job in jobs]:
            results += _Work(model, sections, request, send).make(part)
    # A full disk or a wrong setting, for example: no fault of a picture, so it ends the run.
    except OSError as error:
        return {"failed": f"{error.filename or jobs[0].out}: {error.strerror}"}
    except (UsageError, Failure) as error:
        return {"failed": str(error)}
    return {"results": [asdict(result) for result in results]}


class _Work:
    """The work on some pictures: a fault becomes a result, and the time is shared."""

    def __init__(self, model: LoadedModel, sections: PictureSections, request: Request, send: Send) -> None:
        self.model, self.sections, self.request, self.send = model, sections, request, send
        self.clock = Stopwatch("prepare")

    def make(self, jobs: Sequence[PictureJob]) -> list[PictureResult]:
        """Make the views or the mesh of each picture."""
        request = self.request
        if isinstance(request, MeshesRequest):
            results = [self._guarded(partial(self._mesh, job, request)) for job in jobs]
        else:
            results = self._views(jobs, request)
        self.clock.stop()
        seconds = {phase: spent / len(jobs) for phase, spent in self.clock.seconds.items()}
        return [replace(result, seconds=seconds) for result in results]

    def _mesh(self, job: PictureJob, request: MeshesRequest) -> PictureResult:
        views, warnings = write_picture_mesh(job, self.model, self.sections, request, self._enter)
        mesh = sha256_file(Path(job.out) / MESH)
        return PictureResult(outcome=Outcome.OK, views=views, warnings=warnings, mesh=mesh)

    def _views(self, jobs: Sequence[PictureJob], request: ViewsRequest) -> list[PictureResult]:
        plan = partial(plan_picture_views, model=self.model, sections=self.sections, request=request, enter=self._enter)
        planned = [self._guarded(partial(plan, job)) for job in jobs]
        ready = [one for one in planned if isinstance(one, PlannedViews)]
        sampled = iter(self._sampled(ready) if ready else ())
        self._enter("encode")
        return [
            self._guarded(partial(self._write, one, next(sampled))) if isinstance(one, PlannedViews) else one
            for one in planned
        ]

    def _sampled(self, planned: Sequence[PlannedViews]) -> list[list[Pixels] | PictureResult]:
        """Sample pictures together; after a fault each alone, so that it costs its picture alone."""
        found = self._guarded(partial(sample_planned, planned, self.model, self.sections, self._enter))
        if not isinstance(found, PictureResult):
            return list(found)
        if len(planned) == 1:
            return [found]
        return [part for one in planned for part in self._sampled([one])]

    def _write(self, planned: PlannedViews, views: list[Pixels] | PictureResult) -> PictureResult:
        if isinstance(views, PictureResult):
            return views
        count, warnings = write_planned(planned, views, self.model, self.sections)
        return PictureResult(outcome=Outcome.OK, views=count, warnings=warnings)

    def _enter(self, phase: str) -> None:
        self.clock.begin(phase)
        self.send({"phase": phase})

    def _guarded(self, work: Callable[[], T]) -> T | PictureResult:
        """Return what `work` does, or a fault of the picture as its result. Raises faults of the machine."""
        import torch

        try:
            return work()
        except UnusablePicture as error:
            outcome, text = error.outcome, _short(error)
        except (MemoryError, torch.OutOfMemoryError) as error:
            outcome, text = Outcome.OUT_OF_MEMORY, _short(error)
        except (OSError, UsageError, Failure):
            raise
        except (RuntimeError, ValueError, TypeError, ArithmeticError, LookupError) as error:
            traceback.print_exc()
            outcome, text = Outcome.RENDER_ERROR, _short(error)
        return PictureResult(outcome=outcome, reason=text, phase=self.clock.phase)


def _short(error: BaseException) -> str:
    return " ".join(f"{error}".split())[:REASON_LETTERS] or type(error).__name__


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
