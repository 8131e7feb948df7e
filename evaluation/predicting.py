"""Write a prediction folder: a method's answer to each object of a protocol, kept as soon as it is there."""

import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from base.data_files import read_data_file
from base.errors import Failure, UsageError
from base.progress import Progress
from base.scratch import folder_beside
from base.storage import write_atomically
from evaluation.datasets.base import DataSet
from evaluation.mesh_files import ply_bytes
from evaluation.methods import MeshMethod, Task, ViewMethod
from evaluation.predictions import Method
from evaluation.protocol import Protocol
from evaluation.truth import TrueObject, TrueView
from report.escape import csv_cell
from report.images import encode_image

README = """# Inputs of the protocol {name}

{title}. {summary}

- `inputs/UID/NNN.png`: the input views, RGBA, numbered as in the protocol ({inputs}).
- `cameras/UID.json`: for every view `cam_from_world` (3 × 4, OpenGL axes: x right, y up, the camera looks along −z),
  `fx`, `fy`, `cx`, `cy` in pixels, and `hw`. The world is z up; the object's longest edge is about 1.
- The method is told: {told}.

Write back a folder with

- `method.yaml`: `name` (required), `paper`, `weights`, `settings`, `hardware`, `seconds_per_object`, and for meshes
  `up` (y or z) and `frame` (input: the first input's camera is at azimuth 0; world: the world of the cameras;
  camera: the axes of the first input's camera, with `up: y` x right, y up, z towards the camera);
{answer}
- `failed.csv`: a line `UID,reason` for each object without an answer.

Then: `zero123 benchmark score {name} --data DIR --predictions FOLDER --out OUT`
"""
ANSWERS = {
    "views": "- `views/UID/NNN.png`: RGB or RGBA, {w} × {h}, for the views {targets}; or `views/UID/0.png`, "
    "a strip for each sample; or `views/UID.png`, a sheet of 3 × 2 views of 320 × 320 as Zero123++'s, or of the layout "
    "`sheet` in method.yaml;",
    "meshes": "- `meshes/UID.glb`, `.ply` or `.obj`: a mesh for each object; or `clouds/UID.npz` with `coords`, or a "
    "PLY of points: the occupied points of a grid, as MCC predicts them;",
}


@dataclass(frozen=True)
class PredictionRun:
    """Answers of `method` to the objects `uids` of a protocol, written into `out`."""

    protocol: Protocol
    dataset: DataSet
    uids: Sequence[str]
    method: Method
    out: Path
    progress: Progress


def predict_views(run: PredictionRun, answer: ViewMethod) -> None:
    """Write `views/UID/NNN.png` for each object. Finished objects are kept; an object without an answer is listed."""
    folders = run.out / "views"

    def write(task: Task) -> None:
        with folder_beside(folders / task.truth.uid) as folder:
            for target, pixels in zip(task.targets, answer(task), strict=True):
                (folder / f"{target:03d}.png").write_bytes(encode_image(Image.fromarray(pixels), "png"))
            # The rename makes all views appear at once: a folder of that name is complete.
            folder.rename(folders / task.truth.uid)

    _predict(run, write, lambda uid: (folders / uid).is_dir())


def predict_meshes(run: PredictionRun, answer: MeshMethod) -> None:
    """Write `meshes/UID.ply` for each object, as `predict_views` does."""

    def write(task: Task) -> None:
        write_atomically(run.out / "meshes" / f"{task.truth.uid}.ply", ply_bytes(answer(task)))

    _predict(run, write, lambda uid: (run.out / "meshes" / f"{uid}.ply").is_file())


def _predict(run: PredictionRun, write: Callable[[Task], None], is_done: Callable[[str], bool]) -> None:
    _write_method(run.out, run.method)
    protocol, failed = run.protocol, dict[str, str]()
    with run.progress.task("predict", total=len(run.uids), unit="objects") as task:
        for uid in run.uids:
            if not is_done(uid):
                try:
                    write(Task(run.dataset.load(uid), protocol.inputs, protocol.targets, protocol.hw))
                # One object without an answer must not end the run; the score counts it as failed.
                except (Failure, ValueError) as error:
                    failed[uid] = str(error)
            task.advance(note=uid)
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([uid, csv_cell(reason)] for uid, reason in failed.items())
    write_atomically(run.out / "failed.csv", stream.getvalue().encode())


def _write_method(out: Path, method: Method) -> None:
    """Write `method.yaml`. Raises UsageError if the folder holds the answers of another method."""
    path = out / "method.yaml"
    if path.is_file():
        before = read_data_file(Method, path)
        if before != method:
            raise UsageError(
                f"{out}: expected an empty folder or answers of the same method, got those of {before.name!r} with "
                f"another {', '.join(_changed(before, method))}"
            )
    values = {key: value for key, value in asdict(method).items() if value is not None}
    write_atomically(path, yaml.safe_dump(values, sort_keys=False, allow_unicode=True).encode())


def _changed(before: Method, method: Method) -> list[str]:
    """Return the names of the fields and settings in which two methods differ."""
    first, second = ({**asdict(each), **each.settings, "settings": None} for each in (before, method))
    return sorted(name for name in first | second if first.get(name) != second.get(name))


def export_inputs(
    name: str, protocol: Protocol, dataset: DataSet, uids: Sequence[str], out: Path, progress: Progress
) -> None:
    """Write inputs, cameras and a README for programs that answer the protocol elsewhere."""
    with progress.task("export", total=len(uids), unit="objects") as task:
        for uid in uids:
            truth = dataset.load(uid)
            for number in protocol.inputs:
                picture = encode_image(Image.fromarray(truth.views[number].read()), "png")
                write_atomically(out / "inputs" / uid / f"{number:03d}.png", picture)
            write_atomically(
                out / "cameras" / f"{uid}.json", (json.dumps(_cameras(protocol, truth), indent=1) + "\n").encode()
            )
            task.advance(note=uid)
    targets = ", ".join(f"{number:03d}" for number in protocol.targets)
    answer = ANSWERS[protocol.kind].format(h=protocol.hw[0], w=protocol.hw[1], targets=targets)
    text = README.format(
        name=name,
        title=protocol.title,
        summary=protocol.summary,
        inputs=", ".join(f"{number:03d}" for number in protocol.inputs),
        told=protocol.told,
        answer=answer,
    )
    write_atomically(out / "README.md", re.sub(r" +\n", "\n", text).encode())


def _cameras(protocol: Protocol, truth: TrueObject) -> dict[str, Any]:
    numbers = sorted({*protocol.inputs, *protocol.targets})
    return {
        "uid": truth.uid,
        "inputs": list(protocol.inputs),
        "targets": list(protocol.targets),
        "views": {f"{number:03d}": _camera(truth.views[number]) for number in numbers},
    }


def _camera(view: TrueView) -> dict[str, Any]:
    return {"cam_from_world": view.cam_from_world.tolist(), **asdict(view.pinhole)}
