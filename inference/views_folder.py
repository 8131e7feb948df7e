"""The folder of a photo's sampled views: its present pictures, and the way to add a picture.

`views.json` lists only pictures on the disk, each with its SHA-256. A stopped command therefore resumes with the
missing pictures.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from base.digest import sha256_bytes, sha256_file
from base.storage import write_atomically
from geometry.camera import camera_centre
from geometry.sphere import spherical_from_cartesian
from inference.plan import ViewJob, ViewPlan
from report.images import encode_image

RECORD = "views.json"
SCHEMA = 1
MAX_RECORD_BYTES = 64 << 20

Pixels = NDArray[np.uint8]


class ViewsFolder:
    """The pictures of `plan` in `folder`; `facts` are further entries of views.json (photo, model, elevation).

    Listed pictures of another request are removed; other files in the folder are not touched.
    """

    def __init__(self, folder: Path, plan: ViewPlan, facts: Mapping[str, Any]) -> None:
        self.folder, self.plan, self.facts = folder, plan, dict(facts)
        self.cameras = plan.cameras()
        self.rows: dict[str, dict[str, Any]] = {}
        earlier = read_record(folder)
        jobs = {job.file: job for job in plan.jobs()}
        for row in _rows(earlier):
            job = jobs.get(row["file"])
            if job is not None and earlier["request"] == plan.request and self._is_kept(job, row):
                self.rows[job.file] = row
        self.replaced = [row["file"] for row in _rows(earlier) if row["file"] not in self.rows]
        # Pictures go before the record forgets them: after a kill in between, the next run still finds them.
        for name in self.replaced:
            (folder / name).unlink(missing_ok=True)
        self._write()

    @property
    def missing(self) -> list[ViewJob]:
        """The missing pictures, in order."""
        return [job for job in self.plan.jobs() if job.file not in self.rows]

    def add(self, job: ViewJob, pixels: Pixels) -> None:
        """Write a picture, then the record with its entry."""
        data = encode_image(Image.fromarray(pixels), self.plan.picture)
        write_atomically(self.folder / job.file, data)
        self.rows[job.file] = self._row(job, sha256_bytes(data))
        self._write()

    def pixels(self, job: ViewJob) -> Pixels:
        """Read a finished picture, uint8 (H, W, 3 or 4)."""
        with Image.open(self.folder / job.file) as picture:
            return np.asarray(picture.convert("RGBA" if self.plan.alpha else "RGB"))

    def _row(self, job: ViewJob, sha256: str) -> dict[str, Any]:
        polar, azimuth, radius = spherical_from_cartesian(camera_centre(self.cameras[job.view]))
        place = {"polar_rad": float(polar), "azimuth_rad": float(azimuth), "radius": float(radius)}
        numbers = {"view": job.view, "sample": job.sample, "seed": job.seed}
        return {**numbers, "file": job.file, "sha256": sha256, **job.move.facts(), **place}

    def _is_kept(self, job: ViewJob, row: Mapping[str, Any]) -> bool:
        path = self.folder / job.file
        # The whole row must match: another seed, move or camera means another picture.
        return row == self._row(job, str(row.get("sha256"))) and path.is_file() and sha256_file(path) == row["sha256"]

    def _write(self) -> None:
        plan = self.plan
        record = {
            "schema": SCHEMA,
            "request": plan.request,
            "hw": list(plan.hw),
            "lens": {"focal_mm": plan.lens.focal_mm, "sensor_mm": plan.lens.sensor_mm},
            "seed": plan.seed,
            "samples": plan.samples,
            "alpha": plan.alpha,
            **self.facts,
            "views": [self.rows[job.file] for job in plan.jobs() if job.file in self.rows],
        }
        write_atomically(self.folder / RECORD, (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode())


def read_record(folder: Path) -> dict[str, Any]:
    """Read views.json of a folder of sampled views. Returns an empty record without a valid file."""
    path = folder / RECORD
    try:
        if path.stat().st_size > MAX_RECORD_BYTES:
            return {}
        record = json.loads(path.read_bytes())
    # A damaged record counts as absent, and its views are sampled again. Deep nesting raises RecursionError.
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) and "request" in record else {}


def _rows(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of a record with a valid file name; the record may come from anybody."""
    rows = record.get("views")
    listed = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return [row for row in listed if isinstance(row.get("file"), str) and _is_view_name(row["file"])]


def _is_view_name(name: str) -> bool:
    # Listed files may be deleted, so a record must not name anything outside this pattern, such as a path.
    stem, dot, kind = name.partition(".")
    # `isdecimal` alone would accept digits of other scripts.
    return bool(dot) and kind in ("png", "webp") and stem.replace("-", "", 1).isdecimal() and stem.isascii()
