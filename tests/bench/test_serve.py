"""The benchmark of the page's server."""

import json
import sys
from pathlib import Path

import pytest

from bench import serve
from tests.web.conftest import pixels_of


def test_a_request_is_overtaken_by_later_ones_that_ended_before_it() -> None:
    assert serve.overtaken([(0.0, 1.0), (0.1, 2.0), (0.2, 3.0)]) == 0
    assert serve.overtaken([(0.0, 9.0), (1.5, 3.0)]) == 1
    assert serve.overtaken([(0.0, 9.0), (0.5, 3.0)]) == 0  # began at nearly the same time


def test_photos_differ_and_are_the_same_each_time() -> None:
    assert serve.photo(1) == serve.photo(1)
    assert serve.photo(1) != serve.photo(2)
    assert pixels_of(serve.photo(1)).shape == (1024, 1024, 3)


def test_rows_have_median_and_95th_percentile() -> None:
    times = {"cut-out": [1.0, 2.0, 3.0], "quick": [0.5] * 10, "good": [float(n) for n in range(101)]}
    assert serve.drop_rows(times) == [
        ["cut-out", "2.00", "2.90", ""], ["quick", "0.50", "0.50", "1.5"], ["good", "50.00", "95.00", "6.0"]
    ]  # fmt: skip


@pytest.mark.server
def test_all_requests_of_a_small_run_are_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = ["--drops", "1", "--clients", "2", "--requests", "2", "--memory", "2"]
    monkeypatch.setattr(sys, "argv", ["serve", *counts, "--json", str(tmp_path / "result.json")])
    assert serve.main() == 0
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["crowd"]["lost"], result["crowd"]["wrong"]) == (0, 0)
    assert result["drops"]["cut-out"][0] < result["drops"]["quick"][0] < result["drops"]["good"][0]
    assert (result["memory"]["first"], result["memory"]["last"]) == (1, 2)
    assert result["memory"]["last_mb"] > 100.0
    assert "2 clients x 2 requests: 0 lost, 0 wrong" in capsys.readouterr().out
