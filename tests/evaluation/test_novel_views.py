"""The comparison itself, on a small real dataset, with answers whose quality is known beforehand."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from base.errors import Failure
from base.progress import SILENT
from base.storage import Storage
from evaluation.baselines import on_white
from evaluation.metrics import PSNR_CAP_DB
from evaluation.novel_views import NovelViews, evaluate_novel_views, objects, pairs
from evaluation.settings import EvaluateSettings
from evaluation.table import novel_views_json, novel_views_table
from shards.version import Version
from tests.shards.datasets import HW, VIEWS, make_version

SETTINGS = EvaluateSettings.model_validate(
    {
        "split": "train",
        "version": 0,
        "max_objects": 3,
        "held_out_views": 2,
        "inputs_per_object": 2,
        "seed": 7,
        "guidance_scale": 2.0,
        "steps": 3,
        "eta": 0.0,
        "triptychs": 4,
        "minimum_margin_db": 1.0,
        "minimum_silhouette_iou": 0.8,
    }
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> tuple[Version, Storage]:
    folder = tmp_path_factory.mktemp("dataset")
    storage = Storage(folder / "dataset")
    return make_version(storage, folder / "views", [2, 2]), storage


class Painter:
    """Answers every question by the same rule: the input over white, darkened by `darker`."""

    hw = HW

    def __init__(self, darker: int) -> None:
        self.darker = darker
        self.seeds: list[int] = []

    def told(self, pose: NDArray[np.float64], input_polar_rad: float) -> NDArray[np.float64]:
        assert 0.0 <= input_polar_rad <= np.pi
        return pose

    def __call__(
        self,
        rgba: NDArray[np.uint8],
        pose: NDArray[np.float64],
        *,
        guidance_scale: float,
        steps: int,
        eta: float,
        seeds: Sequence[int],
    ) -> NDArray[np.uint8]:
        assert (guidance_scale, steps, eta) == (2.0, 3, 0.0)
        self.seeds += seeds
        answer = np.clip(on_white(rgba).astype(int) - self.darker, 0, 255).astype(np.uint8)
        return np.broadcast_to(answer, (len(pose), *answer.shape))


def evaluated(painter: Painter, dataset: tuple[Version, Storage], settings: EvaluateSettings = SETTINGS) -> NovelViews:
    return evaluate_novel_views(painter, *dataset, settings, SILENT)


def test_repeating_the_input_scores_as_the_input(dataset: tuple[Version, Storage]) -> None:
    result = evaluated(Painter(0), dataset)
    assert len(result.rows) == 3 * 2 * 2
    for row in result.rows:
        assert row.psnr["model"] == row.psnr["input"] < PSNR_CAP_DB
        assert row.target >= VIEWS - 2 > row.source
    means = result.means("psnr")
    assert result.margin_db == means["model"] - max(means["input"], means["white"])
    assert result.margin_db <= 0
    assert not result.passed
    assert dataclasses.replace(result, minimum_margin_db=result.margin_db).passed


def test_a_worse_answer_scores_worse_and_seeds_are_fixed(dataset: tuple[Version, Storage]) -> None:
    first, second, worse = Painter(0), Painter(0), Painter(60)
    assert evaluated(first, dataset).rows == evaluated(second, dataset).rows
    assert first.seeds == second.seeds
    assert len(set(first.seeds)) == len(first.seeds)
    assert evaluated(worse, dataset).margin_db < evaluated(first, dataset).margin_db


def test_pairs_are_the_same_whatever_else_is_asked_for(dataset: tuple[Version, Storage]) -> None:
    more = SETTINGS.model_copy(update={"inputs_per_object": 4})
    assert pairs("cup", 12, range(12), more)[:2] == pairs("cup", 12, range(12), SETTINGS)
    assert len({source for source, _ in pairs("cup", 12, range(12), more)}) == 4
    uids = [sample.uid for sample in objects(*dataset, SETTINGS)]
    assert uids == sorted(uids)
    assert len(uids) == 3


def test_the_true_picture_is_the_last_of_a_triptych(dataset: tuple[Version, Storage]) -> None:
    result = evaluated(Painter(0), dataset)
    assert len(result.triptychs) == 4
    samples = {sample.uid: sample for sample in objects(*dataset, SETTINGS)}
    for triptych in result.triptychs:
        shown, _, true = triptych.pictures
        sample = samples[triptych.uid]
        np.testing.assert_array_equal(true, on_white(sample.image(triptych.target)))
        np.testing.assert_array_equal(shown, on_white(sample.image(triptych.source)))


def test_table_and_json_say_the_same(dataset: tuple[Version, Storage]) -> None:
    result = evaluated(Painter(0), dataset)
    values = json.loads(json.dumps(novel_views_json(result), allow_nan=False))
    assert values["pairs"] == len(values["rows"]) == 12
    table = novel_views_table(result)
    assert f"{values['psnr_db']['model']:.2f}" in table
    assert f"{values['margin_db']:+.2f} dB" in table
    assert len({len(line) for line in table.splitlines()[:6]}) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"split": "val"}, "expected objects in split 'val'"),
        ({"held_out_views": 11}, "expected at least 13 views an object"),
    ],
)
def test_what_cannot_be_evaluated_says_so(dataset: tuple[Version, Storage], change: dict, message: str) -> None:
    with pytest.raises(Failure, match=message):
        evaluated(Painter(0), dataset, SETTINGS.model_copy(update=change))


def test_a_model_of_another_size_says_so(dataset: tuple[Version, Storage], tmp_path: Path) -> None:
    painter = Painter(0)
    painter.hw = (64, 64)
    with pytest.raises(Failure, match="expected views of the model's size"):
        evaluated(painter, dataset)
