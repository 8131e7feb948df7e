"""Stages are done once, and say what they cost when they were done."""

from pathlib import Path

import pytest

from app.stages import Stages


def test_a_stage_runs_again_only_for_other_inputs(tmp_path: Path) -> None:
    runs: list[int] = []

    def work() -> dict[str, int]:
        runs.append(len(runs))
        return {"answer": 42}

    for inputs in ([1, "a"], [1, "a"], [2, "a"]):
        stages = Stages(tmp_path)
        assert stages.run_once("sample", inputs, work) == {"answer": 42}
        assert stages.costs["sample"].seconds >= 0
    assert runs == [0, 1]


def test_a_stage_that_failed_runs_again(tmp_path: Path) -> None:
    def broken() -> dict[str, int]:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        Stages(tmp_path).run_once("mesh", 1, broken)
    assert Stages(tmp_path).run_once("mesh", 1, lambda: {"faces": 3}) == {"faces": 3}


def test_a_stage_with_nothing_to_do_keeps_its_recorded_cost(tmp_path: Path) -> None:
    first = Stages(tmp_path)
    first.run("train", lambda: True)
    second = Stages(tmp_path)
    second.run("train", lambda: False)
    assert second.costs["train"] == first.costs["train"]


def test_a_damaged_record_is_no_record(tmp_path: Path) -> None:
    Stages(tmp_path).run_once("mesh", 1, lambda: {"faces": 3})
    (tmp_path / "stages" / "mesh.json").write_text('{"inputs": ')
    assert Stages(tmp_path).run_once("mesh", 1, lambda: {"faces": 4}) == {"faces": 4}
