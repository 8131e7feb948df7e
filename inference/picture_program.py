"""The child of a worker on many pictures: it keeps the model loaded, and makes what each line asks for.

    python -m inference.picture_program CHANNEL PARENT

Lines from standard input: the setup, then a job each. Messages on the file descriptor CHANNEL: the model's facts, then
for each job its phases and its result. It ends with its input, and with the process PARENT.
"""

import ctypes
import json
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    PictureResult,
    PictureSections,
    ViewsRequest,
)
from inference.picture_views import MOST_ON_CPU, UnusablePicture, write_picture_views
from inference.sample_photo import LoadedModel
from photo.cutout import check_method
from zero123.digest import model_digest

if TYPE_CHECKING:
    import torch

Request = ViewsRequest | MeshesRequest
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


def _answer(line: str, model: LoadedModel, sections: PictureSections, request: Request, send: Any) -> dict[str, Any]:
    job, clock = parse_typed_json(PictureJob, line), Stopwatch("prepare")

    def enter(phase: str) -> None:
        clock.begin(phase)
        send({"phase": phase})

    try:
        result = _made(job, model, sections, request, enter)
    # A full disk or a wrong setting, for example: no fault of the picture, so it ends the run.
    except OSError as error:
        return {"failed": f"{error.filename or job.out}: {error.strerror}"}
    except (UsageError, Failure) as error:
        return {"failed": str(error)}
    clock.stop()
    phase = "" if result.outcome == Outcome.OK else clock.phase
    return {"result": asdict(replace(result, phase=phase, seconds=clock.seconds))}


def _made(
    job: PictureJob, model: LoadedModel, sections: PictureSections, request: Request, enter: Any
) -> PictureResult:
    import torch

    try:
        if isinstance(request, MeshesRequest):
            views, warnings = write_picture_mesh(job, model, sections, request, enter)
        else:
            views, warnings = write_picture_views(job, model, sections, request, enter)
    except UnusablePicture as error:
        return PictureResult(outcome=error.outcome, reason=_short(error))
    except (MemoryError, torch.OutOfMemoryError) as error:
        return PictureResult(outcome=Outcome.OUT_OF_MEMORY, reason=_short(error))
    except (OSError, UsageError, Failure):
        raise
    except (RuntimeError, ValueError, TypeError, ArithmeticError, LookupError) as error:
        traceback.print_exc()
        return PictureResult(outcome=Outcome.RENDER_ERROR, reason=_short(error))
    mesh = sha256_file(Path(job.out) / MESH) if isinstance(request, MeshesRequest) else ""
    return PictureResult(outcome=Outcome.OK, views=views, warnings=warnings, mesh=mesh)


def _short(error: BaseException) -> str:
    return " ".join(f"{error}".split())[:REASON_LETTERS] or type(error).__name__


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
