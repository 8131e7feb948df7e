"""The comparison itself, on a small real dataset, with answers whose quality is known beforehand."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from app.evaluating import page_of
from base.errors import Failure
from base.progress import SILENT
from base.storage import Storage
from evaluation.baselines import on_white
from evaluation.metrics import PSNR_CAP_DB, psnr
from evaluation.novel_views import NovelViews, evaluate_novel_views, list_pairs, read_objects
from evaluation.settings import EvaluateSettings
from evaluation.table import novel_views_json, novel_views_table
from shards.image import encode_rgba
from shards.reader import read_sample
from shards.version import Version, read_version, version_name
from tests.evaluation.clips import write_image_half
from tests.evaluation.settings import SETTINGS
from tests.shards.datasets import HW, VIEWS, make_version, spoilt
from zero123.clip import ClipImages

ALWAYS = ("model", "input", "white", "mean_view")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> tuple[Version, Storage]:
    folder = tmp_path_factory.mktemp("dataset")
    storage = Storage(folder / "dataset")
    version = make_version(storage, folder / "views", [2, 2])
    storage.write(version_name(1), version.to_json())
    return version, storage


class Painter:
    """Answers every question by the same rule: the input over white, darkened by `darker`."""

    hw = HW
    device = torch.device("cpu")

    def __init__(self, darker: int) -> None:
        self.darker = darker
        self.seeds: list[int] = []

    def adapt_poses(self, pose: NDArray[np.float64], input_polar_rad: float) -> NDArray[np.float64]:
        assert 0.0 <= input_polar_rad <= np.pi
        return pose

    def views(
        self,
        rgba: NDArray[np.uint8],
        pose: NDArray[np.float64],
        *,
        guidance_scale: float,
        steps: int,
        eta: float,
        seeds: Sequence[int],
    ) -> NDArray[np.uint8]:
        assert guidance_scale == 2.0
        assert steps == 3
        assert eta == 0.0
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
    assert list_pairs("cup", 12, range(12), more)[:2] == list_pairs("cup", 12, range(12), SETTINGS)
    assert len({source for source, _ in list_pairs("cup", 12, range(12), more)}) == 4
    uids = [sample.uid for sample in read_objects(*dataset, SETTINGS)]
    assert uids == sorted(uids)
    assert len(uids) == 3


def test_the_true_picture_is_the_last_of_a_triptych(dataset: tuple[Version, Storage]) -> None:
    result = evaluated(Painter(0), dataset)
    assert len(result.triptychs) == 4
    samples = {sample.uid: sample for sample in read_objects(*dataset, SETTINGS)}
    for triptych in result.triptychs:
        shown, _, true = triptych.pictures
        sample = samples[triptych.uid]
        np.testing.assert_array_equal(true, on_white(sample.image(triptych.target)))
        np.testing.assert_array_equal(shown, on_white(sample.image(triptych.source)))


def test_nearest_training_view_is_of_another_object(
    dataset: tuple[Version, Storage],
) -> None:
    version, storage = dataset
    settings = SETTINGS.model_copy(update={"training_root": storage.root, "max_objects": 2, "triptychs": 8})
    result = evaluated(Painter(0), dataset, settings)
    assert result.training_objects == 2
    assert all(set(row.psnr) == {*ALWAYS, "training_mean", "nearest_view"} for row in result.rows)
    others = [read_sample(storage, shard, entry) for shard in version.shards[1:] for entry in shard.samples]
    shown = [on_white(sample.image(view)).tolist() for sample in others for view in range(VIEWS)]
    assert len(result.triptychs) == len(result.rows)
    for row, triptych in zip(result.rows, result.triptychs, strict=True):
        assert triptych.nearest is not None
        assert triptych.nearest.tolist() in shown
        assert row.psnr["nearest_view"] == psnr(triptych.nearest, triptych.pictures[2])
        mean = np.round(np.mean(shown, axis=0)).astype(np.uint8)
        assert row.psnr["training_mean"] == psnr(mean, triptych.pictures[2])
    assert evaluated(Painter(0), dataset, settings).rows == result.rows


def test_figures_tell_of_which_versions_they_are(dataset: tuple[Version, Storage], tmp_path: Path) -> None:
    version, storage = dataset
    for name in storage.names("shards"):
        Storage(tmp_path).write(name, storage.read(name))
    Storage(tmp_path).write(version_name(3), dataclasses.replace(version, number=3).to_json())
    settings = SETTINGS.model_copy(update={"training_root": str(tmp_path), "max_objects": 1})
    told = novel_views_json(
        evaluate_novel_views(Painter(0), dataclasses.replace(version, number=7), storage, settings, SILENT)
    )
    assert (told["dataset_version"], told["training_version"]) == (7, 3)
    alone = novel_views_json(evaluated(Painter(0), dataset))
    assert (alone["dataset_version"], alone["training_version"]) == (1, None)


def test_without_training_objects_the_others_are_answers_alone(dataset: tuple[Version, Storage]) -> None:
    result = evaluated(Painter(0), dataset)
    assert result.training_objects == 0
    assert all(tuple(row.psnr) == tuple(row.haarpsi_distance) == ALWAYS for row in result.rows)
    assert all(triptych.nearest is None for triptych in result.triptychs)
    assert "There is no nearest training view, because there were no training objects" in novel_views_table(result)


def test_a_network_is_asked_where_one_is_given(dataset: tuple[Version, Storage], tmp_path: Path) -> None:
    write_image_half(tmp_path)
    without = evaluated(Painter(0), dataset)
    result = evaluated(Painter(0), dataset, SETTINGS.model_copy(update={"features": str(tmp_path)}))
    assert [dataclasses.replace(row, feature_distance={}) for row in result.rows] == list(without.rows)
    for row in result.rows:
        assert row.feature_distance["model"] == row.feature_distance["input"]
        assert 0.0 <= min(row.feature_distance.values()) <= max(row.feature_distance.values()) <= 2.0
    assert result.network is not None
    digest = result.network.weights_sha256
    assert digest == ClipImages.from_folder(tmp_path, Painter.device).digest
    assert f"weights sha256 {digest[:16]}" in novel_views_table(result)
    assert novel_views_json(result)["network"]["weights_sha256"] == digest
    for lacking in (novel_views_json(without)["network"], novel_views_json(without)["feature_distance"]):
        assert not lacking
    assert "CLIP" not in novel_views_table(without)


def test_table_json_and_page_say_the_same(
    dataset: tuple[Version, Storage], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image_half(tmp_path)
    _, storage = dataset
    settings = SETTINGS.model_copy(update={"training_root": storage.root, "features": str(tmp_path)})
    result = evaluated(Painter(9), dataset, settings)
    values = json.loads(json.dumps(novel_views_json(result), allow_nan=False))
    assert values["pairs"] == len(values["rows"]) == 12
    table, page = novel_views_table(result), page_of(result, "<dataset>", "train", {"version": "1"})
    lines = table.splitlines()
    assert len({len(line) for line in lines[:8]}) == 1
    assert f"{values['margin_db']:+.2f} dB" in table
    for key, digits in (("psnr_db", 2), ("ssim", 3), ("haarpsi_distance", 3), ("feature_distance", 3)):
        assert set(values[key]) == {*ALWAYS, "training_mean", "nearest_view"}
        column = [line.split("|")[2:-1] for line in lines[2:8]]
        for answer, value in values[key].items():
            assert any(f"{value:.{digits}f}" in map(str.strip, cells) for cells in column), (key, answer)
            assert f'data-key="{key}.{answer}" value="{value!r}"' in page
    near = [row for row in result.rows if row.angle_deg <= 90.0]
    monkeypatch.setattr("evaluation.novel_views.NEAR_DEG", 90.0)
    assert result.near_means()["input"] == pytest.approx(np.mean([row.psnr["input"] for row in near]))
    assert "&lt;dataset&gt;" in page
    assert values["network"]["weights_sha256"][:16] in page
    assert page.count("data:image/webp") == len(result.triptychs) == 4


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


def test_a_view_of_another_size_is_named(dataset: tuple[Version, Storage], tmp_path: Path) -> None:
    def shrink(members: dict[str, bytes]) -> None:
        members["11.webp"] = encode_rgba(np.zeros((8, 8, 4), np.uint8))

    there = spoilt(dataset[1], tmp_path / "dataset", "train", shrink)
    named = r"shards/train-.*: object-0-000\.11\.webp: expected 16×16 pixels, got 8×8"
    with pytest.raises(Failure, match=named):
        evaluated(Painter(0), (read_version(there), there))
    other = SETTINGS.model_copy(update={"training_root": there.root, "max_objects": 1})
    with pytest.raises(Failure, match=named.replace("object-0-000", "object-1-000")):
        evaluated(Painter(0), dataset, other)
