"""Which views are bad, and what many bad views make of their object."""

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from base.outcomes import Outcome
from render.blender.view import view_facts, webp_bytes
from render.job import RenderResult, ViewFacts
from render.run import judge

CHECKS = {"blank_coverage": 0.01, "single_colour_range": 2, "border_share": 0.25, "bad": []}
EVERY = ["transparent", "blank", "single_colour", "touches_border", "not_finite"]


def rgba(rows: slice, columns: slice, *, span: int = 90) -> np.ndarray:
    """A picture of 16 × 16 with something of colours that span `span` in one block of it."""
    picture = np.zeros((16, 16, 4), np.uint8)
    block = picture[rows, columns]
    block[..., 3] = 255
    block[..., 0] = np.linspace(100, 100 + span, block[..., 0].size).reshape(block.shape[:2]).round()
    return picture


SEEN = rgba(slice(4, 12), slice(4, 12))


@pytest.mark.parametrize(
    ("picture", "finite", "says"),
    [
        (SEEN, True, set()),
        (np.zeros_like(SEEN), True, {"transparent", "blank", "single_colour"}),
        (rgba(slice(4, 5), slice(4, 6)), True, {"blank"}),
        (rgba(slice(4, 12), slice(4, 12), span=2), True, {"single_colour"}),
        (rgba(slice(0, 4), slice(4, 14)), True, set()),  # 10 of 60 edge pixels
        (rgba(slice(0, 4), slice(0, 16)), True, {"touches_border"}),  # 22 of 60
        (SEEN, False, {"not_finite"}),
    ],
)
def test_each_check_says_what_it_is_about(picture: np.ndarray, finite: bool, says: set[str]) -> None:
    facts = view_facts(picture, 3, CHECKS, is_finite=finite)
    assert {name for name in EVERY if getattr(facts, name)} == says
    assert facts.bad == ""
    counted = view_facts(picture, 3, {**CHECKS, "bad": EVERY}, is_finite=finite)
    assert set(filter(None, counted.bad.split(", "))) == says


@pytest.mark.parametrize("alpha", [0, 7, 255])
def test_a_picture_has_four_channels_whatever_its_alpha(alpha: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (33, 70, 4), np.uint8)
    picture[..., 3] = alpha
    with Image.open(BytesIO(webp_bytes(picture)), formats=["WEBP"]) as read:
        assert read.mode == "RGBA"
        np.testing.assert_array_equal(np.array(read), picture)


def test_the_measures_are_recorded() -> None:
    facts = view_facts(rgba(slice(0, 4), slice(4, 14)), 3, CHECKS, is_finite=True)
    assert facts.coverage == 40 / 256
    assert facts.colour_range == 90
    assert facts.border_share == round(10 / 60, 6)


@pytest.mark.parametrize(("allowed", "outcome"), [(0, Outcome.BLANK), (1, Outcome.BLANK), (2, Outcome.OK)])
def test_max_bad_views(allowed: int, outcome: Outcome) -> None:
    result = judge(RenderResult(outcome=Outcome.OK, views=[facts("blank"), facts(""), facts("not_finite")]), allowed)
    assert result.outcome is outcome
    if outcome is Outcome.BLANK:
        assert result.reason == f"expected at most {allowed} bad views, got 2: 3 (blank), 3 (not_finite)"


def facts(bad: str) -> ViewFacts:
    said: dict[str, Any] = {name: name == bad for name in EVERY}
    return ViewFacts(view=3, coverage=0.5, colour_range=90, border_share=0.0, **said, bad=bad)
