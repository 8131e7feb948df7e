"""The stages of many pictures: a picture becomes views of its object, or its mesh with views of that."""

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

from base.digest import canonical_json, digest_json
from base.outcomes import Outcome
from inference.dataset_views import SOURCE as VIEWS
from inference.dataset_views import take_picture
from inference.models import ModelChoice
from inference.picture_child import PictureChild, PictureEnd
from inference.picture_request import (
    MESH,
    SCHEMA,
    ChildSetup,
    MeshesRequest,
    ModelFacts,
    PictureJob,
    PictureSections,
    ViewsRequest,
)
from inference.pictures import about_of, picture_sha256
from pipeline.catalog.objects import SourceObject
from pipeline.work.stage import ItemWork, Stage, StageResult
from report.wording import Wording
from shards.sample import members_from_views
from shards.version import mesh_name

BATCH_VIEWS = 64
"""The views of a batch on an accelerator; more gain nothing, see zero123.compute."""
SAMPLING = Wording("sample", "picture", "sample", "sampled", "the model")
RECONSTRUCTING = Wording("reconstruct", "picture", "reconstruct", "reconstructed", "the model")


@dataclass(frozen=True)
class PictureStage(Stage):
    """Work with a child that keeps the model `choice` loaded. `facts` are the model's, as the driver found them.

    `sections` hold the sampling defaults of the model already.
    """

    choice: ModelChoice
    facts: ModelFacts
    on_device: str
    sections: PictureSections
    request: ViewsRequest | MeshesRequest

    rooms = ("photo", "zero123", "inference", "reconstruct", "report")
    packages = ("torch", "diffusers", "transformers", "onnxruntime", "opencv-python-headless", "scipy", "trimesh")
    suffixes = frozenset[str]()

    @property
    @abstractmethod
    def views(self) -> int:
        """The number of views of each picture."""

    @property
    @abstractmethod
    def hw(self) -> tuple[int, int]:
        """The size of the views in pixels."""

    @property
    @abstractmethod
    def asked(self) -> dict[str, object]:
        """What decides the bytes beside the picture, the model, and the preparation and sampling."""

    @cached_property
    def recorded(self) -> dict[str, object]:
        """Return all that decides the bytes beside the picture: the settings to record with a version."""
        sections, request = self.sections, self.request
        facts = {
            "command": self.wording.command,
            "schema": SCHEMA,
            "model": {"from": self.choice.title, "digest": self.facts.digest, "raw": self.choice.raw},
            "pose_slot4": self.facts.pose_slot4,
            "photo": sections.photo.model_dump(mode="json", exclude={"weights", "limits"}),
            "sampling": sections.sample.sampling().model_dump(mode="json"),
            "precision": sections.sample.compute.precision,
            "elevation": sections.views.elevation.model_dump(mode="json") if request.elevation_deg == "auto" else {},
            "elevation_deg": request.elevation_deg,
            "assume_cut_out": request.assume_cut_out,
            **self.asked,
        }
        # As plain JSON, where a tuple is a list: it is stored with the version.
        return dict(json.loads(canonical_json(facts)))

    def fingerprint(self, sha256: str) -> str:
        """Return the fingerprint of a picture with this digest."""
        return digest_json([self._settings_digest, sha256])

    @cached_property
    def _settings_digest(self) -> str:
        return digest_json(self.recorded)

    def read(self, item: SourceObject, folder: Path) -> tuple[Path, str] | None:
        """Return the path of a picture, and its digest with its mask and elevation; a view is written to `folder`."""
        return take_picture(item, folder) if item.source == VIEWS else (Path(item.location), picture_sha256(item))

    def do(self, work: ItemWork) -> StageResult:
        """Make the views or the mesh of a picture."""
        return self.do_together([work])[0]

    def do_together(self, works: Sequence[ItemWork]) -> list[StageResult]:
        """Make the views of pictures in common batches. A picture that kills the child does so again alone."""
        works[0].enter("start")
        # All works are of the same worker.
        self._child.watch = works[0].enter
        ends = self._child.make([_job(work) for work in works])
        return [self._result(work, end) for work, end in zip(works, ends, strict=True)]

    def _result(self, work: ItemWork, end: PictureEnd) -> StageResult:
        result = end.result
        if result.mesh:
            # Under its digest, before the item counts as done; a second attempt writes the same bytes.
            work.storage.put_file(mesh_name(result.mesh), work.out / MESH)
            (work.out / MESH).unlink(missing_ok=True)
        return StageResult(
            outcome=Outcome(result.outcome),
            reason=result.reason,
            phase=result.phase,
            faults={"mesh": result.mesh},
            seconds=result.seconds,
            views=result.views,
            peak_mb=end.peak_mb,
            device=self._child.facts.device if self._child.facts is not None else "",
            warnings=result.warnings,
            stderr_tail=end.stderr_tail,
        )

    def record(self, folder: Path, facts: Mapping[str, str]) -> dict[str, bytes]:
        """Return the members of a sample of views."""
        return members_from_views(folder, facts)

    def close(self) -> None:
        """End the child."""
        self._child.close()

    @cached_property
    def _child(self) -> PictureChild:
        setup = child_setup(self.choice, self.on_device, self.sections, self.request)
        return PictureChild(setup, self.sections.views.child, expected=self.facts.digest)


@dataclass(frozen=True)
class SampleStage(PictureStage):
    """Sample the views of each picture."""

    request: ViewsRequest

    wording = SAMPLING

    @property
    def views(self) -> int:
        """The number of views of each picture: the guesses of each camera."""
        return len(self.request.cameras) * self.request.samples

    @property
    def items_at_once(self) -> int:
        """The pictures of a batch. On a CPU there is nothing to gain, and each is sampled alone in any case."""
        if asked := self.sections.views.child.pictures_at_once:
            return asked
        return 1 if self.facts.device.startswith("kind CPU") else max(1, BATCH_VIEWS // self.views)

    @property
    def hw(self) -> tuple[int, int]:
        """The size of the model's views."""
        return self.facts.hw

    @property
    def asked(self) -> dict[str, object]:
        """The cameras, the guesses, and how the background is taken away."""
        cameras = {name: value for name, value in asdict(self.request.cameras).items() if name != "rig_name"}
        alpha = self.sections.views.alpha.model_dump(mode="json") if self.request.alpha else {}
        return {"cameras": cameras, "samples": self.request.samples, "alpha": alpha}


@dataclass(frozen=True)
class ReconstructStage(PictureStage):
    """Make the mesh of each picture, with views of it all around."""

    request: MeshesRequest

    wording = RECONSTRUCTING

    @property
    def views(self) -> int:
        """The number of frames of a turntable."""
        return self.sections.reconstruct.turntable.frames

    @property
    def hw(self) -> tuple[int, int]:
        """The size of a turntable's frames."""
        return self.sections.reconstruct.turntable.hw

    @property
    def asked(self) -> dict[str, object]:
        """The settings of the reconstruction, the camera's distance and the seed."""
        section = self.sections.reconstruct.model_dump(mode="json")
        return {"reconstruct": section, "radius": self.request.radius, "seed": self.request.seed}


def _job(work: ItemWork) -> PictureJob:
    about = about_of(work.item)
    elevation = about.get("elevation_deg")
    return PictureJob(
        uid=work.item.uid,
        file=str(work.path),
        out=str(work.out),
        mask=str(about.get("mask", "")),
        elevation_deg=None if elevation is None else float(elevation),
    )


def child_setup(
    choice: ModelChoice, device: str, sections: PictureSections, request: ViewsRequest | MeshesRequest | None
) -> ChildSetup:
    """Return the first message to a child on this machine."""
    # Here, because the child's home is a private folder.
    weights = str(Path(sections.photo.weights).expanduser())
    local = sections.model_copy(update={"photo": sections.photo.model_copy(update={"weights": weights})})
    return ChildSetup(model=choice, device=device, sections=local.model_dump(mode="json"), request=request)


def describe_model(choice: ModelChoice, device: str, sections: PictureSections) -> ModelFacts:
    """Load a model in a child and return its facts. The driver itself never holds a network."""
    child = PictureChild(child_setup(choice, device, sections, None), sections.views.child)
    try:
        return child.describe()
    finally:
        child.close()


def absolute_model(choice: ModelChoice) -> ModelChoice:
    """Return the choice with a path as an absolute path, because workers have folders of their own."""
    if choice.name is None or not Path(choice.name).exists():
        return choice
    return replace(choice, name=str(Path(choice.name).absolute()))
