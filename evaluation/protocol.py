"""Protocols: exactly what an evaluation measures, as data in YAML files.

A protocol has variants by name, at least `as-published` or `sound`. Its digest covers every choice behind a figure, but
not titles, citations and published rows.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from base.data_files import read_named
from base.digest import digest_json
from evaluation.datasets.base import UID
from evaluation.images.values import Compositing, Rounding
from evaluation.shapes.alignment import Step

PROTOCOLS = Path(__file__).parent / "protocols"
"""The shipped protocols, a YAML file each."""
SCHEMA = 1
"""Changes when the same protocol and pictures would give other figures."""
UNMEASURED = ("title", "summary", "rig", "told", "published", "citation", "bibtex", "gaps")

Kind = Literal["views", "meshes"]
Loader = Literal["sd30", "esc30", "transforms", "gso", "rtmv", "co3d", "shapenet", "shards"]
STRICT: dict[str, Any] = {"extra": "forbid"}


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """Where the truth comes from: a loader, the objects by uid (empty for all), licence, and where to get it.

    `sha256` maps objects to the digest of the pixels of their views, where it is known. `benchmark check` compares it.
    `check_iou` is the least IoU of the truth mesh's silhouette with the alpha, where there are meshes.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    loader: Loader
    objects: tuple[str, ...] = ()
    sha256: dict[str, str] = field(default_factory=dict)
    licence: str
    get: str
    check_iou: float = 0.99

    def __post_init__(self) -> None:
        for uid in self.objects:
            if not UID.fullmatch(uid):
                raise ValueError(f"objects of letters, digits, - and _, not {uid[:40]!r}")


@dataclass(frozen=True, kw_only=True)
class PictureVariant:
    """How predicted views are measured.

    `targets` are the measured views, out of the protocol's targets. Truths and predictions of another size than `hw`
    are resized with `resize`; `refuse` counts them as failed. `compositing` and `rounding` are those of
    evaluation.images.values. `metrics` are names of evaluation.picture_metrics.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    targets: tuple[int, ...]
    compositing: Compositing
    rounding: Rounding
    metrics: tuple[str, ...]
    resize: Literal["refuse", "bicubic", "bilinear"] = "refuse"
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class MeshVariant:
    """How a predicted mesh is measured.

    `truth_steps` and `steps` are named alignments, in order (see evaluation.shapes.alignment). Points are `surface`,
    `points` of them drawn uniformly; `vertices`; or `visible`, depth maps fused from the protocol's cameras. Solids
    are filled by `fill` on the grid `grid` of `grid_size`. `thresholds` are those of F-scores.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    truth_steps: tuple[Step, ...]
    steps: tuple[Step, ...]
    sample: Literal["surface", "vertices", "visible"]
    points: int = 0
    grid: Literal["mesh2sdf", "unit-cube"]
    grid_size: int = 64
    fill: Literal["parity", "rays", "winding"]
    thresholds: tuple[float, ...] = ()
    metrics: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Published:
    """A row of a published table: its figures by metric of the variant `as-published`.

    `where` is its place in the paper `source`. `quoted` figures were read in another text that quotes the paper.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    method: str
    figures: dict[str, float]
    source: str
    where: str = ""
    quoted: bool = False


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """An evaluation. `inputs` and `targets` are numbers of views; `frame` is that of predicted meshes.

    In the frame `input` the camera of the first input has azimuth 0; in `world` the mesh is where the truth is.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    title: str
    summary: str
    kind: Kind
    data: DataSource
    hw: tuple[int, int]
    inputs: tuple[int, ...]
    targets: tuple[int, ...]
    rig: str
    told: str
    frame: Literal["input", "world"] = "input"
    views: dict[str, PictureVariant] = field(default_factory=dict)
    meshes: dict[str, MeshVariant] = field(default_factory=dict)
    published: tuple[Published, ...] = ()
    citation: str
    bibtex: str
    gaps: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        variants = self.views if self.kind == "views" else self.meshes
        if not variants or (self.views and self.meshes):
            raise ValueError(f"variants under `{self.kind}` alone")
        for name, variant in self.views.items():
            if not set(variant.targets) <= set(self.targets):
                raise ValueError(f"views.{name}.targets among the protocol's targets")
        if not self.inputs or (self.kind == "views" and not self.targets):
            raise ValueError("at least an input, and a target for views")

    @property
    def variants(self) -> dict[str, PictureVariant] | dict[str, MeshVariant]:
        """Return the variants of the protocol's kind by name."""
        return self.views if self.kind == "views" else self.meshes

    @property
    def required_hw(self) -> tuple[int, int] | None:
        """Return the only size of predicted views, or None if a variant resizes: the others then refuse them later."""
        return self.hw if all(variant.resize == "refuse" for variant in self.views.values()) else None

    def digest(self) -> str:
        """Return 16 hexadecimal digits over everything with an influence on figures."""
        measured = {key: value for key, value in asdict(self).items() if key not in UNMEASURED}
        # Licence and address of the data change no figure.
        measured["data"] = {key: measured["data"][key] for key in ("loader", "objects", "sha256")}
        # Notes explain, they do not measure.
        notes_off = {
            name: {key: value for key, value in variant.items() if key != "note"}
            for name, variant in measured[self.kind].items()
        }
        return digest_json({**measured, self.kind: notes_off, "schema": SCHEMA})


def read_protocol(name: str) -> Protocol:
    """Read a shipped protocol by name, or a protocol's YAML file. Raises UsageError for a mistake, with its line."""
    return read_named(Protocol, name, PROTOCOLS, "protocol")


def protocol_names() -> list[str]:
    """Return the names of the shipped protocols."""
    return sorted(path.stem for path in PROTOCOLS.glob("*.yaml"))
