"""The answers of the API about browsed datasets, evaluations and training runs."""

from pydantic import BaseModel

from web.browse.shelf import Kind


class EntryAnswer(BaseModel):
    """A folder of the shelf."""

    name: str
    kind: Kind
    url: str


class ShelfAnswer(BaseModel):
    """Everything to browse."""

    entries: list[EntryAnswer]


class DatasetAnswer(BaseModel):
    """A dataset: its newest version (0 without a version), and the objects by outcome, licence and split."""

    name: str
    version: int
    views: int
    hw: tuple[int, int]
    outcomes: dict[str, int]
    licences: dict[str, int]
    splits: dict[str, int]


class RowAnswer(BaseModel):
    """An object in a list. `picture` is its first view, empty without views."""

    uid: str
    url: str
    outcome: str
    reason: str
    title: str
    author: str
    licence: str
    category: str
    source: str
    split: str
    page: str
    picture: str


class ObjectsAnswer(BaseModel):
    """A page of objects; `next` is the `after` of the next page, empty at the end. Later pages do not count again."""

    objects: list[RowAnswer]
    next: str
    total: int | None


class CameraAnswer(BaseModel):
    """A view and its camera."""

    url: str
    elevation_deg: float
    azimuth_deg: float
    radius: float


class AttemptAnswer(BaseModel):
    """An attempt at an object; `at` in Unix seconds."""

    outcome: str
    reason: str
    phase: str
    seconds: float
    views: int
    device: str
    at: float


class ObjectAnswer(RowAnswer):
    """An object with its views and the attempts at it."""

    facts: dict[str, str]
    cameras: list[CameraAnswer]
    attempts: list[AttemptAnswer]


class TableAnswer(BaseModel):
    """A table of figures as text. The first cell of a row names it."""

    title: str
    note: str
    head: list[str]
    rows: list[list[str]]


class PictureAnswer(BaseModel):
    """A picture with a few words about it."""

    url: str
    label: str


class PairAnswer(BaseModel):
    """Pictures to compare."""

    title: str
    pictures: list[PictureAnswer]


class EvaluationAnswer(BaseModel):
    """An evaluation: its tables, sentences about it, some pairs as pictures; `rows` counts the rows of all objects."""

    name: str
    title: str
    tables: list[TableAnswer]
    notes: list[str]
    pairs: list[PairAnswer]
    rows: int


class RowsAnswer(BaseModel):
    """A page of an evaluation's rows; `next` is the `start` of the next page, 0 at the end."""

    head: list[str]
    rows: list[list[str]]
    next: int


class CurveAnswer(BaseModel):
    """A curve over images seen; a missing value is null."""

    title: str
    images: list[int]
    values: list[float | None]
    is_log: bool


class RunAnswer(BaseModel):
    """A training run: headline figures, curves, grids of validations, checkpoints by images seen."""

    name: str
    figures: dict[str, str]
    curves: list[CurveAnswer]
    grids: list[PictureAnswer]
    checkpoints: list[int]
