"""What the parent asks of the Blender child and what it answers; plain data, written as JSON."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from base.outcomes import Outcome

__all__ = ["Outcome", "RenderJob", "RenderResult", "ViewFacts"]


@dataclass(frozen=True, kw_only=True)
class RenderJob:
    """Render `file` from every camera of `extrinsics` (V, 3, 4) under `lights` into `out_dir`/NN.webp.

    `settings` is a dumped `RenderSettings`; `companions` are files that a glTF names, relative to its folder;
    views below `first_view` are left out. `seed` is recorded, everything drawn from it is already in the job.
    """

    uid: str
    file: str
    seed: int
    settings: dict[str, Any]
    extrinsics: list[list[list[float]]]
    lights: list[dict[str, Any]]
    out_dir: str
    companions: list[str] = field(default_factory=list)
    first_view: int = 0

    @property
    def views(self) -> range:
        """The numbers of the views to render."""
        return range(self.first_view, len(self.extrinsics))

    def to_json(self) -> str:
        """The job as one line of JSON; floats survive exactly."""
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> "RenderJob":
        """The job that `to_json` wrote. Raises ValueError or TypeError for anything else."""
        return cls(**json.loads(text))


@dataclass(frozen=True, kw_only=True)
class ViewFacts:
    """What was seen in one view: `coverage` is the mean alpha in [0, 1]."""

    view: int
    coverage: float
    blank: bool
    single_colour: bool
    touches_border: bool


@dataclass(frozen=True, kw_only=True)
class RenderResult:
    """How one job ended. `phase` names where; all else is filled as far as the work came.

    `normalisation` maps the imported scene to the unit box: x ↦ scale · (x − centre); `bounds` is the box before.
    `checks` are facts about the object (meshes, faces, untextured, animated). `seconds` are by phase.
    """

    outcome: Outcome
    reason: str = ""
    phase: str = ""
    views: list[ViewFacts] = field(default_factory=list)
    normalisation: dict[str, Any] = field(default_factory=dict)
    lights: list[dict[str, Any]] = field(default_factory=list)
    device: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    checks: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    stderr_tail: str = ""

    def to_json(self) -> str:
        """The result as one line of JSON."""
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> "RenderResult":
        """The result that `to_json` wrote. Raises ValueError, TypeError or KeyError for anything else."""
        values = json.loads(text)
        values["outcome"] = Outcome(values["outcome"])
        values["views"] = [ViewFacts(**view) for view in values["views"]]
        return cls(**values)
