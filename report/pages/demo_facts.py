"""Contents of the demo's report as plain numbers and arrays, independent of how they were measured.

Images are uint8 (H, W, 4) RGBA, or (H, W, 3) when a model made them on white. Cameras are `cam_from_world` (V, 3, 4).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geometry.camera import camera_centre
from geometry.sphere import spherical_from_cartesian
from report.images import Pixels
from report.numbers import finite_or_none

Floats = NDArray[np.float64]
PAPER_IMAGES = 105_000 * 1536
"""Images seen by the public Zero-1-to-3 weights: 105,000 steps of 1,536 (arXiv 2303.11328 and its repository)."""


@dataclass(frozen=True, kw_only=True)
class ObjectFacts:
    """An object: its rendered views, their cameras, the held-out views, and its origin."""

    uid: str
    title: str
    views: tuple[Pixels, ...]
    extrinsics: Floats
    held_out: tuple[int, ...]
    licence: str
    author: str
    source: str


@dataclass(frozen=True, kw_only=True)
class RenderFacts:
    """Rendering: `reused` objects come from an earlier run; `samples` is Cycles' samples per pixel."""

    hw: tuple[int, int]
    samples: int
    rendered: int
    reused: int
    version: int
    pairs: int
    shards: int
    dataset_bytes: int


@dataclass(frozen=True, kw_only=True)
class TrainFacts:
    """Model and training; `images_seen`, `loss` and `learning_rate` are (N,) columns of its log.

    `images` and `seconds` count the whole training, resumed parts included. `init` names the model that it began with,
    empty for random weights.
    """

    hw: tuple[int, int]
    init: str
    parameters: int
    images: int
    seconds: float
    batch: int
    images_seen: Floats
    loss: Floats
    learning_rate: Floats


@dataclass(frozen=True, kw_only=True)
class PairFacts:
    """A held-out pair: the photo, the model's answer and the truth, with PSNR in dB against the truth."""

    uid: str
    source: int
    target: int
    input: Pixels
    novel: Pixels
    true: Pixels
    psnr_model_db: float
    psnr_input_db: float

    @property
    def better(self) -> bool:
        """Whether the model's answer is closer to the truth than the photo itself."""
        return bool(self.psnr_model_db > self.psnr_input_db)


@dataclass(frozen=True)
class CameraMove:
    """A move around the object: degrees to the right in [−180, 180), degrees up, and the increase of the radius."""

    right_deg: float
    up_deg: float
    farther: float


@dataclass(frozen=True, kw_only=True)
class ScoreFacts:
    """Means over `pairs` held-out pairs, measure → answer → value, by the names of `report.pages.answers`.

    PSNR of the model, of the unchanged input, of white and of the mean view is always present. `notes` are sentences
    about the figures' basis.
    """

    pairs: int
    guidance_scale: float
    sampling_steps: int
    means: Mapping[str, Mapping[str, float]]
    notes: tuple[str, ...]
    goal_db: float

    @property
    def margin_db(self) -> float:
        """PSNR of the model above the better trivial answer (input returned, white image)."""
        means = self.means["psnr_db"]
        return means["model"] - max(means["input"], means["white"])

    @property
    def passed(self) -> bool:
        """Whether the margin reaches the goal."""
        return bool(self.margin_db >= self.goal_db)


@dataclass(frozen=True, kw_only=True)
class MeshFacts:
    """The mesh from a photo: `vertices` (V, 3), `faces` (F, 3), `colours` (V, 3) uint8, and its fit to the photo.

    `silhouette` (H, W) bool is the mesh seen from the photo's camera, `iou` its overlap with the photo's alpha.
    `turntable` are RGBA frames of a full turn.
    """

    uid: str
    view: int
    input: Pixels
    input_cam_from_world: Floats
    vertices: Floats
    faces: NDArray[np.int64]
    colours: NDArray[np.uint8]
    silhouette: NDArray[np.bool_]
    turntable: tuple[Pixels, ...]
    iou: float
    iou_goal: float
    steps: int
    views: int
    glb: Path

    @property
    def passed(self) -> bool:
        """Whether the overlap reaches the goal."""
        return bool(self.iou >= self.iou_goal)


@dataclass(frozen=True, kw_only=True)
class StageFacts:
    """A stage of the chain: a note, wall-clock seconds, and the peak memory of all its processes."""

    name: str
    note: str
    seconds: float
    peak_bytes: int


@dataclass(frozen=True, kw_only=True)
class DemoFacts:
    """Contents of the demo's report; the uid of every pair and of the mesh is among `objects`.

    `pairs_chosen` ends the sentence "Shown is …" ("the first held-out pair of each object"). `machine` is a line
    (processor, cores, memory), `versions` maps name → version, `commands` reproduce this page.
    """

    objects: tuple[ObjectFacts, ...]
    render: RenderFacts
    train: TrainFacts
    scores: ScoreFacts
    pairs: tuple[PairFacts, ...]
    mesh: MeshFacts
    stages: tuple[StageFacts, ...]
    pairs_chosen: str
    machine: str
    versions: Mapping[str, str]
    settings_digest: str
    seed: int
    commands: tuple[str, ...]

    def numbers(self) -> dict[str, Any]:
        """Collect every number of the report as a tree of plain values, for report.json and the page.

        Infinite and NaN values are None. Every leaf is a number, a flag or None, except `settings_digest`.
        """
        return {
            "settings_digest": self.settings_digest,
            "seed": self.seed,
            "passed": self.scores.passed and self.mesh.passed,
            "data": self._data_numbers(),
            "train": self._train_numbers(),
            "novel_views": self._score_numbers(),
            "mesh": {
                "vertices": len(self.mesh.vertices),
                "faces": len(self.mesh.faces),
                "steps": self.mesh.steps,
                "views": self.mesh.views,
                "iou": finite_or_none(self.mesh.iou),
                "iou_goal": self.mesh.iou_goal,
                "passed": self.mesh.passed,
            },
            "stages": {
                stage.name: {"seconds": finite_or_none(stage.seconds), "peak_bytes": stage.peak_bytes}
                for stage in self.stages
            },
            "total": {
                "seconds": finite_or_none(sum(stage.seconds for stage in self.stages)),
                "peak_bytes": max((stage.peak_bytes for stage in self.stages), default=0),
            },
        }

    def object_of(self, uid: str) -> ObjectFacts:
        """Find the object of `uid`. Raises KeyError for an unknown uid."""
        found = next((item for item in self.objects if item.uid == uid), None)
        if found is None:
            raise KeyError(f"expected any of {sorted(item.uid for item in self.objects)}, got {uid!r}")
        return found

    def camera_move(self, pair: PairFacts) -> CameraMove:
        """Compute the move from the pair's photo to its target."""
        cameras = self.object_of(pair.uid).extrinsics
        polar, azimuth, radius = spherical_from_cartesian(camera_centre(cameras[[pair.source, pair.target]]))
        # The short way round: a turn of 350° to the right is 10° to the left.
        turn = (float(np.degrees(azimuth[1] - azimuth[0])) + 180.0) % 360.0 - 180.0
        # Polar angles grow downwards, elevations upwards.
        return CameraMove(turn, float(np.degrees(polar[0] - polar[1])), float(radius[1] - radius[0]))

    def _data_numbers(self) -> dict[str, Any]:
        return {
            "objects": len(self.objects),
            "views": sum(len(item.views) for item in self.objects),
            "views_each": max((len(item.views) for item in self.objects), default=0),
            "held_out": sum(len(item.held_out) for item in self.objects),
            "pairs": self.render.pairs,
            "shards": self.render.shards,
            "bytes": self.render.dataset_bytes,
            "version": self.render.version,
            "rendered": self.render.rendered,
            "reused": self.render.reused,
            "samples": self.render.samples,
            "height": self.render.hw[0],
            "width": self.render.hw[1],
        }

    def _train_numbers(self) -> dict[str, Any]:
        loss = np.asarray(self.train.loss, np.float64)
        # Single losses are noisy; means of tenths show the course.
        tenth = max(1, len(loss) // 10)
        return {
            "parameters": self.train.parameters,
            "images": self.train.images,
            "seconds": finite_or_none(self.train.seconds),
            "images_per_s": finite_or_none(self.train.images / self.train.seconds) if self.train.seconds > 0 else None,
            "paper_images": PAPER_IMAGES,
            "paper_ratio": finite_or_none(PAPER_IMAGES / self.train.images) if self.train.images else None,
            "batch": self.train.batch,
            "height": self.train.hw[0],
            "width": self.train.hw[1],
            "loss_first_tenth": finite_or_none(float(loss[:tenth].mean())) if len(loss) else None,
            "loss_last_tenth": finite_or_none(float(loss[-tenth:].mean())) if len(loss) else None,
        }

    def _score_numbers(self) -> dict[str, Any]:
        scores = self.scores
        return {
            "pairs": scores.pairs,
            "guidance_scale": scores.guidance_scale,
            "sampling_steps": scores.sampling_steps,
            **{
                measure: {answer: finite_or_none(value) for answer, value in values.items()}
                for measure, values in scores.means.items()
            },
            "margin_db": finite_or_none(scores.margin_db),
            "goal_db": scores.goal_db,
            "passed": scores.passed,
            "shown": [self._pair_numbers(pair) for pair in self.pairs],
        }

    def _pair_numbers(self, pair: PairFacts) -> dict[str, Any]:
        return {
            "psnr_model_db": finite_or_none(pair.psnr_model_db),
            "psnr_input_db": finite_or_none(pair.psnr_input_db),
            "gain_db": finite_or_none(pair.psnr_model_db - pair.psnr_input_db),
            **asdict(self.camera_move(pair)),
        }
