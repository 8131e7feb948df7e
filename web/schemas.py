"""The requests and answers of the HTTP API."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Degrees = Annotated[float, Field(ge=-360.0, le=360.0)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Quality = Literal["quick", "good"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class MoveRequest(_Strict):
    """A camera move from the photo's camera: degrees up and right, and away in longest edges of the object."""

    up_deg: Annotated[float, Field(ge=-180.0, le=180.0)] = 0.0
    right_deg: Degrees = 0.0
    away: Annotated[float, Field(ge=-0.8, le=1.5)] = 0.0


class ViewsBody(_Strict):
    """Views of a photo: the `moves`, or an `orbit` of so many views; without a model the server's first."""

    moves: Annotated[list[MoveRequest], Field(max_length=256)] = Field(default_factory=list)
    orbit: Annotated[int, Field(ge=0, le=256)] = 0
    guesses: Annotated[int, Field(ge=1, le=64)] = 1
    seed: Seed = 0
    quality: Quality = "good"
    elevation_deg: Annotated[float, Field(ge=-90.0, le=90.0)] | None = None
    model: str | None = None

    @model_validator(mode="after")
    def _has_views(self) -> Self:
        if bool(self.moves) == bool(self.orbit):
            raise ValueError("either moves or an orbit")
        return self


class ViewQuery(MoveRequest):
    """A view in one request."""

    seed: Seed = 0
    quality: Quality = "good"
    elevation_deg: Annotated[float, Field(ge=-90.0, le=90.0)] | None = None
    model: str | None = None

    def body(self) -> ViewsBody:
        """Return the same as the body of a job's request."""
        move = MoveRequest(up_deg=self.up_deg, right_deg=self.right_deg, away=self.away)
        return ViewsBody(
            moves=[move], seed=self.seed, quality=self.quality, elevation_deg=self.elevation_deg, model=self.model
        )


class MeshBody(_Strict):
    """The mesh of a photo."""

    seed: Seed = 0
    elevation_deg: Annotated[float, Field(ge=-90.0, le=90.0)] | None = None
    model: str | None = None


class ThresholdBody(_Strict):
    """How far from the background's colour the object begins, in deviations; about 3.5 is usual."""

    threshold: Annotated[float, Field(gt=0.0, le=60.0)]


class PhotoAnswer(BaseModel):
    """A photo's cut-out. `doubt` is a sentence, empty when nothing speaks against the cut-out."""

    photo: str
    width: int
    height: int
    sha256: str
    method: str
    doubt: str
    warnings: list[str]
    has_object: bool
    picture: str
    cut_out: str
    expires_minutes: float


class FileAnswer(BaseModel):
    """A file of a job, with a few words about it."""

    url: str
    label: str
    kind: Literal["view", "film", "mesh"]


class JobAnswer(BaseModel):
    """A job: `place` counts the jobs before it, `seconds_left` is null where nothing is known."""

    job: str
    url: str
    kind: str
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    place: int
    seconds_left: float | None
    done: float
    total: float
    unit: str
    message: str
    version: int
    files: list[FileAnswer]


class ModelAnswer(BaseModel):
    """A model by its name."""

    name: str
    loaded: bool


class ExampleAnswer(BaseModel):
    """An example photo."""

    name: str
    url: str
    alt: str


class AboutAnswer(BaseModel):
    """What this server offers."""

    version: str
    models: list[ModelAnswer]
    examples: list[ExampleAnswer]
    most_megabytes: int
    most_views: int
    most_guesses: int
    elevation_deg: float
    radius: float
    browses: bool


class Problem(BaseModel):
    """What went wrong, in a sentence."""

    error: str
