"""The page of an evaluation: its numbers, what was not measured, and hostile text."""

import numpy as np
import pytest

from report.pages.evaluation_page import EvaluationFacts, ShownPair, evaluation_page
from tests.report.facts import HOSTILE, plain
from tests.report.reading import Reading

ANSWERS = {"model": 20.5, "input": 12.25, "white": 10.0, "nearest_view": 15.125, "mean_view": 21.0}


def page(**changes: object) -> str:
    scores = {
        "pairs": 8, "margin_db": 8.25, "minimum_margin_db": 1.0, "psnr_db": ANSWERS, "ssim": ANSWERS,
        "haarpsi_distance": ANSWERS, "feature_distance": {},
    }  # fmt: skip
    shown = [ShownPair(title=HOSTILE, pictures={"input": plain(1, 3), "truth": plain(2, 3)}) for _ in range(2)]
    facts = EvaluationFacts(
        dataset=HOSTILE,
        split="val",
        scores={**scores, **changes},
        notes=(HOSTILE,),
        shown=shown,
        about={HOSTILE: HOSTILE},
    )
    return evaluation_page(facts)


def test_every_measure_of_every_answer_is_there() -> None:
    reading = Reading(page(feature_distance=ANSWERS))
    for measure in ("psnr_db", "ssim", "haarpsi_distance", "feature_distance"):
        for answer, value in ANSWERS.items():
            assert reading.data[f"{measure}.{answer}"] == [repr(value)]
    assert reading.data["margin_db"] == ["8.25"]
    assert "CLIP distance" in reading.text
    assert "The nearest training view" in reading.text


def test_what_was_not_measured_is_not_there() -> None:
    fewer = {answer: value for answer, value in ANSWERS.items() if answer != "nearest_view"}
    reading = Reading(page(psnr_db=fewer, ssim=fewer, haarpsi_distance=fewer))
    assert "CLIP distance" not in reading.text
    assert "nearest training view" not in reading.text


def test_hostile_text_is_shown_and_means_nothing() -> None:
    made = page()
    reading = Reading(made)
    assert "<script>alert" not in made
    assert "<script>alert('x')</script>" in reading.text
    assert not [attrs for _, attrs in reading.elements if any(name.startswith("on") for name in attrs)]
    assert all(target.startswith(("data:image/", "#")) for target in reading.targets)
    assert len(reading.all("img")) == 2
    assert all(attrs.get("alt") for attrs in reading.all("img"))
    assert not reading.open


def test_a_figure_that_is_missing_is_an_error() -> None:
    with pytest.raises(KeyError):
        page(ssim={"model": float(np.float64(0.5))})
