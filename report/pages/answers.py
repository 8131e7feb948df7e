"""The table of a model's scores beside answers without a model, with their names for every page."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from markupsafe import Markup

from report.bars import Bar, BarRow, bar_table
from report.numbers import Figures


class Answer(NamedTuple):
    """A way to answer, with a note about its knowledge."""

    name: str
    note: str


class Measure(NamedTuple):
    """A comparison with the truth, and its kind of number (see `report.numbers.KINDS`)."""

    name: str
    kind: str


ANSWERS: Mapping[str, Answer] = {
    "model": Answer("the model", "a photo and a camera move"),
    "input": Answer("the input as it is", "trivial"),
    "white": Answer("a white image", "trivial"),
    "training_mean": Answer("mean of the training views", "the same for every photo"),
    "nearest_view": Answer("the nearest training view", "of another object, found by the photo"),
    "mean_view": Answer("mean of the object's other views", "has seen the object from all around"),
}
MEASURES: Mapping[str, Measure] = {
    "psnr_db": Measure("PSNR dB", "db_bare"),
    "ssim": Measure("SSIM", "ratio"),
    "haarpsi_distance": Measure("1 − HaarPSI", "ratio"),
    "feature_distance": Measure("CLIP distance", "ratio"),
}
"""For the first two higher is better; for the distances lower is better."""


def answers_table(figures: Figures, answers: Iterable[str], measures: Iterable[str], *, prefix: str = "") -> Markup:
    """Draw bars of each measure for each answer, in the order of ANSWERS, from the figures `prefix`measure.answer.

    Only the named answers and measures are shown.
    """
    answers, measures = set(answers), set(measures)
    columns = {key: measure for key, measure in MEASURES.items() if key in measures}
    rows = [
        BarRow(
            answer.name[:1].upper() + answer.name[1:],
            tuple(_bar(figures, f"{prefix}{column}.{key}", measure.kind) for column, measure in columns.items()),
            answer.note,
            strong=key == "model",
        )
        for key, answer in ANSWERS.items()
        if key in answers
    ]
    head = ["Answer", *(measure.name for measure in columns.values())]
    return bar_table(head, rows, label="The model and plain answers, mean of each measure")


def _bar(figures: Figures, key: str, kind: str) -> Bar:
    return Bar(figures.value(key), figures.show(key, kind))
