"""Meshes of single views: the hull of a view, a method without a surface, and the table of the means."""

import numpy as np
import pytest

from app.settings import load_settings
from base.errors import Failure
from bench import single_view
from inference.sample_photo import LoadedModel
from shards.reader import read_shard
from shards.sample import Sample
from shards.version import read_version
from tests.train.runs import make_dataset
from tests.zero123.networks import small_pipeline


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    storage = make_dataset(tmp_path_factory.mktemp("single") / "dataset", objects=1)
    return next(iter(read_shard(storage, read_version(storage).shards[0])))


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return LoadedModel(pipeline=small_pipeline(), digest="", source="small")


def test_the_hull_of_a_view_agrees_with_it_and_less_with_the_others(model: LoadedModel, sample: Sample) -> None:
    row = single_view.measure(model, sample, 0, load_settings(None), "hull")
    assert row["input"]["iou"] > 0.9
    assert 0.0 < row["others"]["iou"] < row["input"]["iou"]
    # A square of a single colour, so its hull has that colour.
    assert row["input"]["psnr_db"] > 20.0
    assert row["faces"] > 100


def test_a_method_without_a_surface_agrees_with_nothing(
    model: LoadedModel, sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise Failure("expected a surface, got none")

    monkeypatch.setattr(single_view, "METHODS", {**single_view.METHODS, "score": fail})
    rows = [single_view.measure(model, sample, 0, load_settings(None), method) for method in ("score", "hull")]
    assert rows[0]["failure"] == "expected a surface, got none"
    assert "expected a surface" in single_view.line(rows[0])
    assert rows[0]["others"]["iou"] == 0.0
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in single_view.table(rows).splitlines()[2:]]
    assert [cell[0] for cell in cells] == ["score", "hull"]
    assert [cell[5] for cell in cells] == ["1", "0"]
    assert cells[0][3:5] == ["0.000", "–"]
    assert float(cells[1][3]) == pytest.approx(rows[1]["others"]["iou"], abs=1e-3)
    assert np.isfinite(float(cells[1][4]))
