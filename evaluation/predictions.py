"""A prediction folder: what a method answered to a protocol, whoever ran it.

`method.yaml` names the method. Views are `views/UID/NNN.png`, numbered as in the protocol, or a strip of all of them
for each sample, `views/UID/S.png`, or a sheet, `views/UID.png` (see `Sheet`). Meshes are `meshes/UID.glb`, `.ply`,
`.obj` or `.npz`; `clouds/UID.npz` or `.ply` are points (see evaluation.point_clouds). `failed.csv` (uid, reason) lists
the objects without an answer.
"""

import csv
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from base.data_files import read_data_file
from base.digest import digest_json, sha256_file
from base.errors import Failure, UsageError
from base.text import replace_controls
from evaluation.datasets.base import UID
from evaluation.mesh_files import SUFFIXES, find_file, find_mesh, read_mesh
from evaluation.picture_files import find_picture, read_picture
from evaluation.point_clouds import CLOUD_SUFFIXES, read_cloud_mesh
from evaluation.shapes.triangles import Triangles
from evaluation.sheets import Sheet, cut_sheet, find_sheet

Pixels = NDArray[np.uint8]

STRIP = re.compile(r"\d{1,2}\.(png|webp)")
MAX_REASONS = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Method:
    """What made the predictions. `up` and `frame` are those of its meshes (see `Protocol.frame`).

    The frame `camera` has the axes of the first input's camera around the mesh's own origin: x right, y up and z
    towards the camera if `up` is y; x right, y away and z up if it is z.
    `name` appears in tables. `weights` is a digest of the weights, `settings` are free words, `seconds_per_object` is
    measured on `hardware`. `sheet` is the layout of its sheets; without it, a sheet is one of Zero123++.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    name: str
    paper: str = ""
    weights: str = ""
    settings: dict[str, str | int | float | bool] = field(default_factory=dict)
    hardware: str = ""
    seconds_per_object: float | None = None
    up: Literal["y", "z"] = "z"
    frame: Literal["input", "world", "camera"] = "input"
    sheet: Sheet | None = None


class Predictions:
    """A prediction folder. Raises UsageError if it has no `method.yaml`."""

    def __init__(self, root: Path) -> None:
        if not (root / "method.yaml").is_file():
            raise UsageError(f"{root}: expected a prediction folder with method.yaml, got no such file")
        self.root = root
        self.method = read_data_file(Method, root / "method.yaml")
        self.reasons = _reasons(root / "failed.csv")

    def digest(self, uid: str) -> str:
        """Return a digest of everything in the folder about an object."""
        files = sorted(path for path in (self.root / "views" / uid).glob("*") if path.is_file())
        sheet, shape = find_sheet(self.root / "views", uid), self.find_mesh(uid) or self.find_cloud(uid)
        # Names belong to it: two views exchanged are another answer.
        named = [[path.name, sha256_file(path)] for path in (*files, sheet, shape) if path]
        layout = [asdict(self.sheet)] if sheet or self.method.sheet else []
        return digest_json([named, self.reasons.get(uid, ""), self.method.up, self.method.frame, *layout])

    @property
    def sheet(self) -> Sheet:
        """Return the layout of the method's sheets."""
        return self.method.sheet or Sheet()

    def view_samples(
        self, uid: str, targets: tuple[int, ...], views: int, hw: tuple[int, int] | None
    ) -> list[dict[int, Pixels]]:
        """Return the target views of each sample: RGB or RGBA by number, of `hw` if given.

        A strip or a sheet holds the targets in order, or all `views` of the object. Raises Failure, in a sentence, for
        the first missing or unusable file, and for both a folder and a sheet.
        """
        self._check_reason(uid)
        folder, sheet = self.root / "views" / uid, find_sheet(self.root / "views", uid)
        if sheet and folder.is_dir():
            raise Failure(f"{sheet}: expected a sheet or a folder of views, got both")
        if sheet:
            return [cut_sheet(sheet, self.sheet, targets, views, hw)]
        if not folder.is_dir():
            raise Failure(f"{folder}: expected predicted views, got no such folder")
        strips = sorted(path for path in folder.glob("*") if STRIP.fullmatch(path.name))
        if strips and self.method.sheet:
            return [cut_sheet(path, self.sheet, targets, views, hw) for path in strips]
        if strips:
            return [_cut(path, targets, views, hw) for path in strips]
        return [{number: read_picture(find_picture(folder, f"{number:03d}"), hw) for number in targets}]

    def mesh(self, uid: str) -> Triangles:
        """Return the predicted mesh, z up, or that of a cloud on a grid.

        Raises Failure, in a sentence, for a missing or unusable file.
        """
        self._check_reason(uid)
        path, cloud = self.find_mesh(uid), self.find_cloud(uid)
        if path is None and cloud:
            return read_cloud_mesh(cloud, self.method.up)
        if path is None:
            raise Failure(f"{self.root / 'meshes' / uid}: expected a mesh ({', '.join(SUFFIXES)}), got no such file")
        return read_mesh(path, self.method.up)

    def find_mesh(self, uid: str) -> Path | None:
        """Return the file of an object's mesh, or None."""
        return find_mesh(self.root / "meshes" / uid)

    def find_cloud(self, uid: str) -> Path | None:
        """Return the file of an object's points, or None."""
        return find_file(self.root / "clouds" / uid, CLOUD_SUFFIXES)

    def _check_reason(self, uid: str) -> None:
        if uid in self.reasons:
            raise Failure(f"{self.root / 'failed.csv'}: {uid}: {self.reasons[uid] or 'no reason given'}")


def _cut(path: Path, targets: tuple[int, ...], views: int, hw: tuple[int, int] | None) -> dict[int, Pixels]:
    strip = read_picture(path)
    height, width = strip.shape[:2]
    # Without a fixed size views are square.
    side = hw[1] if hw else height
    if (hw and height != hw[0]) or width not in (len(targets) * side, views * side):
        raise Failure(
            f"{path}: expected a strip of {len(targets)} or {views} views of {side} pixels, got {width} × {height}"
        )
    numbers = targets if width == len(targets) * side else tuple(range(views))
    cut = {number: strip[:, k * side : (k + 1) * side] for k, number in enumerate(numbers)}
    return {number: cut[number] for number in targets}


def _reasons(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    if path.stat().st_size > MAX_REASONS:
        raise UsageError(f"{path}: expected at most {MAX_REASONS >> 20} MiB")
    rows = list(csv.reader(path.read_text(encoding="utf-8", errors="replace").splitlines()))
    return {
        row[0]: replace_controls(row[1] if len(row) > 1 else "")[:300] for row in rows if row and UID.fullmatch(row[0])
    }
