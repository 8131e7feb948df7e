"""What is asked for each of many pictures, as plain data that travels to workers and their children."""

import json
from dataclasses import dataclass, field
from typing import Any, Literal

from base.settings import Section
from inference.cameras import AskedCameras
from inference.models import ModelChoice
from inference.settings import ViewsSettings
from photo.settings import PhotoSettings
from reconstruct.settings import ReconstructSettings
from zero123.settings import SampleSettings

SCHEMA = 1
MESH = "object.glb"
"""The schema of a sample's record, and the file of a mesh in the folder of its picture."""


class PictureSections(Section):
    """The sections of the settings that decide how a picture's views or mesh look, see `MeshSections`."""

    photo: PhotoSettings
    sample: SampleSettings
    views: ViewsSettings
    reconstruct: ReconstructSettings

    def as_yaml(self) -> str:
        """Return the values as JSON, which is YAML."""
        return json.dumps(self.model_dump(mode="json"), indent=1)


@dataclass(frozen=True, kw_only=True)
class ViewsRequest:
    """The views asked for: `samples` guesses from each of the `cameras`.

    `elevation_deg` is that of pictures without one of their own; None if unknown, `auto` to be found by the model.
    """

    cameras: AskedCameras
    samples: int
    alpha: bool
    assume_cut_out: bool
    elevation_deg: float | Literal["auto"] | None


@dataclass(frozen=True, kw_only=True)
class MeshesRequest:
    """The mesh asked for: the camera's distance `radius`, its elevation as in `ViewsRequest`, and the seed."""

    seed: int
    radius: float
    assume_cut_out: bool
    elevation_deg: float | Literal["auto"] | None


@dataclass(frozen=True, kw_only=True)
class PictureJob:
    """A picture for the child: its file, mask and elevation, and the folder `out` for the files of a sample."""

    uid: str
    file: str
    out: str
    mask: str = ""
    elevation_deg: float | None = None


@dataclass(frozen=True, kw_only=True)
class PictureJobs:
    """A line for the child: pictures to be done together, where that is faster."""

    jobs: tuple[PictureJob, ...]


@dataclass(frozen=True, kw_only=True)
class PictureResult:
    """How the child's work on a picture ended, see `StageResult`."""

    outcome: str
    reason: str = ""
    phase: str = ""
    views: int = 0
    warnings: str = ""
    mesh: str = ""
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """A loaded model: its digest, the size of its views, what pose slot 4 means, sampling defaults, and the device."""

    digest: str
    hw: tuple[int, int]
    pose_slot4: str
    sampling: dict[str, Any]
    device: str


@dataclass(frozen=True, kw_only=True)
class ChildSetup:
    """The first message to a child. Without a request it only describes the model."""

    model: ModelChoice
    device: str
    sections: dict[str, Any]
    request: ViewsRequest | MeshesRequest | None = None
