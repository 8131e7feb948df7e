"""The messages between parent and Blender child: jobs and results, as plain data in JSON."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from base.outcomes import Outcome
from base.passes import pass_file

__all__ = [
    "NAMELESS_PICTURE",
    "Outcome",
    "RenderJob",
    "RenderResult",
    "ViewFacts",
    "missing_sentence",
    "pass_file",
    "view_name",
]


@dataclass(frozen=True, kw_only=True)
class RenderJob:
    """Render `file` from every camera of `extrinsics` (V, 3, 4) under `lights` into `out_dir`/NN.webp.

    `settings` is a dumped `RenderSettings`. All files of the model are below `root`. `pictures` gives the files of
    pictures, relative to the model's folder, by the paths that a binary format has. Views below `first_view` are left
    out. `seed` is recorded, everything drawn from it is already in the job. An OBJ file is y up, unless `z_up`.
    """

    uid: str
    file: str
    seed: int
    settings: dict[str, Any]
    extrinsics: list[list[list[float]]]
    lights: list[dict[str, Any]]
    out_dir: str
    root: str = ""
    pictures: dict[str, str] = field(default_factory=dict)
    first_view: int = 0
    z_up: bool = False

    @property
    def views(self) -> range:
        """The numbers of the views to render."""
        return range(self.first_view, len(self.extrinsics))

    @property
    def files(self) -> list[str]:
        """The names of all files to be made: a picture and the passes of each view."""
        passes = self.settings["passes"]
        return [name for view in self.views for name in (view_name(view), *(pass_file(view, one) for one in passes))]

    def to_json(self) -> str:
        """Return the job as a line of JSON; floats survive exactly."""
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> "RenderJob":
        """Read the JSON of `to_json`. Raises ValueError or TypeError for other text."""
        return cls(**json.loads(text))


def view_name(view: int) -> str:
    """The file of view number `view`: `00.webp`, `01.webp`, …"""
    return f"{view:02d}.webp"


NAMED_PICTURES = 5
NAMELESS_PICTURE = "a picture without a name"
"""What a material shows where its importer found no picture at all."""


def missing_sentence(pictures: list[str]) -> str:
    """Say which pictures a model lacks, the first five by name."""
    more = f" and {len(pictures) - NAMED_PICTURES} more" if len(pictures) > NAMED_PICTURES else ""
    named = ", ".join(pictures[:NAMED_PICTURES])
    return f"expected every picture that the model shows, got nothing for {named}{more}"


COLOUR = {"display": "sRGB", "look": "None", "gamma": 1.0}
"""What is fixed of how light becomes colours; the rest are settings."""

CHECKS = ("transparent", "blank", "single_colour", "touches_border", "not_finite")
"""The checks of every view. Each is a field of `ViewFacts`, true for a view with the problem."""


@dataclass(frozen=True, kw_only=True)
class ViewFacts:
    """The measures of a view, the result of each check, and in `bad` the failed checks that make it a bad view.

    `coverage` is the mean alpha in [0, 1], `colour_range` the largest difference of two colours in a channel, of 255,
    and `border_share` the covered share of the frame's edge, in [0, 1]. With an empty `bad` the view is good.
    """

    view: int
    coverage: float
    colour_range: int
    border_share: float
    transparent: bool
    blank: bool
    single_colour: bool
    touches_border: bool
    not_finite: bool
    bad: str = ""


@dataclass(frozen=True, kw_only=True)
class ObjectFacts:
    """The facts about an object besides its views; the same names and types for every object.

    Faces are polygons, counted once per instance. `culled_faces` have a hidden back, and some view would show it first.
    `merged_faces` coincided with another face and were removed or moved apart. `unseen_faces` have no area or are fully
    transparent.
    `stray_faces` are left out of the framing, because they are far away. `frame` is the rendered frame of the
    animation. `other_frame` is True if it is not the first frame, because the first shows nothing or not all.
    """

    meshes: int
    faces: int
    untextured: bool
    animated: bool
    culled_faces: int = 0
    merged_faces: int = 0
    unseen_faces: int = 0
    stray_faces: int = 0
    other_frame: bool = False
    frame: float = 0.0


@dataclass(frozen=True, kw_only=True)
class RenderResult:
    """How one job ended. `phase` is the phase of the end; other fields are filled up to it.

    `normalisation` maps the imported scene to the unit box: x ↦ scale · (x − centre); `bounds` is the box before.
    `checks` are facts about the object, as `ObjectFacts` names them. `seconds` are by phase, without those of the first
    `kept` of the views, which were made before.
    """

    outcome: Outcome
    reason: str = ""
    phase: str = ""
    views: list[ViewFacts] = field(default_factory=list)
    kept: int = 0
    normalisation: dict[str, float | list[float] | list[list[float]]] = field(default_factory=dict)
    lights: list[dict[str, Any]] = field(default_factory=list)
    device: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    missing_pictures: list[str] = field(default_factory=list)
    checks: dict[str, int | bool | float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    stderr_tail: str = ""

    @property
    def positive_checks(self) -> str:
        """Positive checks with the numbers of their views: `blank 3, 7; touches_border 0`."""
        views = {name: [str(one.view) for one in self.views if getattr(one, name)] for name in CHECKS}
        return "; ".join(f"{name} {', '.join(numbers)}" for name, numbers in views.items() if numbers)

    @property
    def faults(self) -> dict[str, str | int | float]:
        """Faults of the model's data, as columns of the catalogue name them."""
        counted = ("culled_faces", "merged_faces", "stray_faces", "other_frame")
        return {
            "missing_pictures": "; ".join(self.missing_pictures),
            **{name: int(self.checks.get(name, 0)) for name in counted},
            "frame": float(self.checks.get("frame", 0.0)),
        }

    def to_json(self) -> str:
        """Return the result as a line of JSON for `render.answer`. Raises ValueError for NaN and infinity."""
        return json.dumps(asdict(self), allow_nan=False)
