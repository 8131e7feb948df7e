"""The stage of `zero123 sample` over many pictures: a picture becomes the views that a model draws of its object."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

from base.digest import canonical_json, digest_json
from base.outcomes import Outcome
from inference.models import ModelChoice
from inference.picture_child import PictureChild
from inference.picture_request import ChildSetup, ModelFacts, PictureJob, PictureSections, ViewsRequest
from inference.picture_views import SCHEMA
from inference.pictures import about_of, picture_sha256
from pipeline.catalog.objects import SourceObject
from pipeline.work.stage import ItemWork, Stage, StageResult
from report.wording import Wording
from shards.sample import members_from_views

SAMPLING = Wording("sample", "picture", "sample", "sampled", "the model")


@dataclass(frozen=True)
class SampleStage(Stage):
    """Sample with a child that keeps the model `choice` loaded. `facts` are the model's, as the driver found them.

    `sections` hold the sampling defaults of the model already.
    """

    choice: ModelChoice
    facts: ModelFacts
    on_device: str
    sections: PictureSections
    request: ViewsRequest

    wording = SAMPLING
    rooms = ("photo", "zero123", "inference", "reconstruct", "report")
    packages = ("torch", "diffusers", "transformers", "onnxruntime", "opencv-python-headless", "scipy")
    suffixes = frozenset[str]()

    @property
    def views(self) -> int:
        """The number of views of each picture: the guesses of each camera."""
        return len(self.request.cameras) * self.request.samples

    @cached_property
    def recorded(self) -> dict[str, object]:
        """Return all that decides the pixels, beside the picture: the settings to record with a version."""
        sections, request = self.sections, self.request
        photo = sections.photo.model_dump(mode="json", exclude={"weights", "limits"})
        facts = {
            "command": self.wording.command,
            "schema": SCHEMA,
            "model": {"from": self.choice.title, "digest": self.facts.digest, "raw": self.choice.raw},
            "pose_slot4": self.facts.pose_slot4,
            "photo": photo,
            "sampling": sections.sample.sampling().model_dump(mode="json"),
            "precision": sections.sample.compute.precision,
            "alpha": sections.views.alpha.model_dump(mode="json") if request.alpha else {},
            "elevation": sections.views.elevation.model_dump(mode="json") if request.elevation_deg == "auto" else {},
            "elevation_deg": request.elevation_deg,
            "assume_cut_out": request.assume_cut_out,
            "cameras": asdict(request.cameras),
            "samples": request.samples,
        }
        # As plain JSON, where a tuple is a list: it is stored with the version.
        return dict(json.loads(canonical_json(facts)))

    def fingerprint(self, sha256: str) -> str:
        """Return the fingerprint of a picture with this digest."""
        return digest_json([self._settings_digest, sha256])

    @cached_property
    def _settings_digest(self) -> str:
        return digest_json(self.recorded)

    def digest(self, item: SourceObject) -> str | None:
        """Return the digest of a local picture with its mask and elevation."""
        return picture_sha256(item)

    def do(self, work: ItemWork) -> StageResult:
        """Sample the views of a picture."""
        work.enter("start")
        about = about_of(work.item)
        elevation = about.get("elevation_deg")
        job = PictureJob(
            uid=work.item.uid,
            file=str(work.path),
            out=str(work.out),
            mask=str(about.get("mask", "")),
            elevation_deg=None if elevation is None else float(elevation),
        )
        self._child.watch = work.enter
        end = self._child.make(job)
        result = end.result
        return StageResult(
            outcome=Outcome(result.outcome),
            reason=result.reason,
            phase=result.phase,
            seconds=result.seconds,
            views=result.views,
            peak_mb=end.peak_mb,
            device=self._child.facts.device if self._child.facts is not None else "",
            warnings=result.warnings,
            stderr_tail=end.stderr_tail,
        )

    def record(self, folder: Path, facts: Mapping[str, str]) -> dict[str, bytes]:
        """Return the members of a sample of sampled views."""
        return members_from_views(folder, facts)

    def close(self) -> None:
        """End the child."""
        self._child.close()

    @cached_property
    def _child(self) -> PictureChild:
        return PictureChild(
            child_setup(self.choice, self.on_device, self.sections, self.request),
            self.sections.views.child,
            expected=self.facts.digest,
        )


def child_setup(
    choice: ModelChoice, device: str, sections: PictureSections, request: ViewsRequest | None
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
