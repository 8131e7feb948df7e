"""What a child may say: results of its job as they were made, and nothing else."""

import json
from typing import Any

import pytest

from base.outcomes import Outcome
from pipeline.catalog.faults import FAULTS
from pipeline.catalog.rows import SEEN_FAULTS
from render.answer import read_phase, read_result
from render.job import RenderJob, RenderResult, ViewFacts

SAID = {"transparent": False, "blank": False, "single_colour": False, "touches_border": True, "not_finite": False}
VIEW = ViewFacts(view=1, coverage=0.25, colour_range=9, border_share=0.1, **SAID, bad="touches_border")
GOOD = RenderResult(
    outcome=Outcome.OK,
    views=[VIEW],
    normalisation={"scale": 0.5, "centre": [0.0, 1 / 3, 1e-17], "bounds": [[0.0] * 3, [2.0] * 3]},
    lights=[{"kind": "world"}],
    device={"kind": "CPU"},
    seconds={"view": 0.5},
    checks={"faces": 3, "animated": True},
)
REFUSED = RenderResult(outcome=Outcome.EMPTY, reason="so", phase="normalise")


@pytest.fixture
def job(settings: Any) -> RenderJob:
    """A job of the second of two views."""
    camera = [[0.0] * 4] * 3
    return RenderJob(
        uid="x", file="x.glb", seed=0, settings=settings().model_dump(mode="json"), extrinsics=[camera] * 2, lights=[],
        out_dir="out", first_view=1,
    )  # fmt: skip


@pytest.mark.parametrize("result", [GOOD, REFUSED])
def test_a_result_survives_exactly(result: RenderResult, job: RenderJob) -> None:
    assert read_result({"result": result.to_json()}, job) == result


@pytest.mark.parametrize(
    "change",
    [
        {"outcome": "splendid"},
        {"reason": 5},
        {"views": []},
        {"views": [vars(VIEW) | {"view": 0}]},
        {"views": [vars(VIEW) | {"coverage": "much"}]},
        {"views": [vars(VIEW) | {"coverage": float("nan")}]},
        {"views": [vars(VIEW) | {"blank": 1}]},
        {"views": [{"view": 1}]},
        {"normalisation": {}},
        {"normalisation": {"scale": "big", "centre": [], "bounds": []}},
        {"device": {}},
        {"seconds": {"view": "long"}},
        {"seconds": {"view": float("inf")}},
        {"checks": {"faces": "many"}},
        {"warnings": "none"},
    ],
)
def test_a_result_of_other_types_or_without_its_facts_is_none(change: dict[str, Any], job: RenderJob) -> None:
    text = json.dumps(json.loads(GOOD.to_json()) | change)
    with pytest.raises(ValueError, match="result"):
        read_result({"result": text}, job)


@pytest.mark.parametrize("message", [{}, {"result": 5}, {"result": None}, {"result": ""}, {"result": "[]"}])
def test_a_message_without_a_result_has_none(message: dict[str, Any], job: RenderJob) -> None:
    with pytest.raises(ValueError, match="result"):
        read_result(message, job)


@pytest.mark.parametrize("message", [{}, {"phase": 5}, {"phase": ["view"]}, {"phase": "\x1b[2J"}])
def test_a_phase_is_one_of_the_childs(message: dict[str, Any]) -> None:
    assert read_phase(message) is None
    assert read_phase({"phase": "view"}) == "view"


def test_a_result_names_the_faults_of_its_model_as_columns_do() -> None:
    checks: dict[str, int | bool | float] = {"culled_faces": 3, "other_frame": True, "frame": 12.5}
    result = RenderResult(outcome=Outcome.OK, missing_pictures=["a.png", "b.png"], checks=checks)
    assert set(result.faults) == set(SEEN_FAULTS)
    assert [result.faults[name] for name in ("missing_pictures", "culled_faces", "merged_faces", "other_frame")] == [
        "a.png; b.png", 3, 0, 1,
    ]  # fmt: skip
    assert set(FAULTS) | {"frame"} == set(SEEN_FAULTS)
