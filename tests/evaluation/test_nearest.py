"""The nearest training view is the nearest: brute force over everything, cameras by another way, and who is asked."""

from pathlib import Path

import numpy as np
import pytest

from base.errors import Failure
from base.progress import SILENT
from base.storage import Storage
from evaluation.baselines import on_white
from evaluation.nearest import (
    TrainingViews,
    centres_in_camera,
    draw_objects,
    index_views,
    load_training_views,
    small_picture,
)
from evaluation.settings import EvaluateSettings
from geometry.camera import camera_centre, look_at_origin
from geometry.relative import relative_motion
from shards.reader import read_sample
from shards.sample import Sample, replace_object_facts
from shards.version import Version, version_name
from shards.write import write_shard
from tests.evaluation.settings import SETTINGS
from tests.shards.datasets import HW, VIEWS, damaged, make_version


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> tuple[Version, Storage]:
    folder = tmp_path_factory.mktemp("dataset")
    storage = Storage(folder / "dataset")
    version = make_version(storage, folder / "views", [3, 4])
    storage.write(version_name(1), version.to_json())
    return version, storage


@pytest.fixture(scope="module")
def samples(dataset: tuple[Version, Storage]) -> list[Sample]:
    version, storage = dataset
    return [read_sample(storage, shard, entry) for shard in version.shards for entry in shard.samples]


@pytest.fixture(scope="module")
def training(dataset: tuple[Version, Storage]) -> TrainingViews:
    version, storage = dataset
    found = index_views(storage, version, draw_objects(version, changed(training_objects=100), set()), set(), SILENT)
    assert found is not None
    return found


def changed(**values: object) -> EvaluateSettings:
    return SETTINGS.model_copy(update=values)


def query(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*HW, 4), dtype=np.uint8)


@pytest.mark.parametrize("seed", range(8))
def test_the_view_most_like_is_that_of_brute_force(training: TrainingViews, samples: list[Sample], seed: int) -> None:
    wanted = on_white(query(seed)).astype(float)
    apart = {
        (sample.uid, view): float(((on_white(sample.image(view)) - wanted) ** 2).sum())
        for sample in samples
        for view in range(VIEWS)
    }
    sample, view = training.find_most_similar(query(seed))
    assert apart[sample.uid, view] == min(apart.values())


@pytest.mark.parametrize("seed", range(8))
def test_nearest_view_by_camera(training: TrainingViews, seed: int) -> None:
    rng = np.random.default_rng(seed)
    source, *targets = (look_at_origin(centre) for centre in rng.normal(size=(6, 3)))
    sample, view = training.find_most_similar(query(seed))
    cameras, centres = sample.extrinsics, camera_centre(sample.extrinsics)
    answers = training.answers(query(seed), source, np.stack(targets))
    for target, answer in zip(targets, answers, strict=True):
        rotation, translation = relative_motion(source, target)
        moved_rotation = rotation @ cameras[view][:, :3]
        moved = np.concatenate([moved_rotation, (rotation @ cameras[view][:, 3] + translation)[:, None]], axis=1)
        apart = np.linalg.norm(centres - camera_centre(moved), axis=1)
        np.testing.assert_array_equal(answer, on_white(sample.image(int(apart.argmin()))))


def test_a_training_object_finds_its_own_views(training: TrainingViews, samples: list[Sample]) -> None:
    for sample in samples:
        for source in (0, 7):
            answers = training.answers(sample.image(source), sample.extrinsics[source], sample.extrinsics)
            for target, answer in enumerate(answers):
                np.testing.assert_array_equal(answer, on_white(sample.image(target)))


def test_cameras_are_seen_in_the_axes_of_another() -> None:
    camera = look_at_origin([0.0, -2.0, 0.0])
    np.testing.assert_allclose(centres_in_camera(camera, camera[None]), [[0, 0, 0]], atol=1e-12)
    np.testing.assert_allclose(
        centres_in_camera(camera, look_at_origin([3.0, 0.0, 0.0])[None]), [[3, 0, -2]], atol=1e-12
    )


def test_small_pictures_are_means_on_white() -> None:
    rgba = np.random.default_rng(0).integers(0, 256, (32, 48, 4), dtype=np.uint8)
    means = on_white(rgba).reshape(16, 2, 16, 3, 3).mean(axis=(1, 3)).reshape(-1)
    assert np.abs(small_picture(rgba) - means).max() <= 1.0


def test_who_is_drawn_depends_on_seed_and_uids_alone(dataset: tuple[Version, Storage]) -> None:
    version, _ = dataset

    def uids(settings: EvaluateSettings, version: Version = version, evaluated: set[str] = frozenset()) -> list[str]:
        return [entry.uid for _, entry in draw_objects(version, settings, evaluated)]

    few, many = uids(changed(training_objects=3)), uids(changed(training_objects=100))
    assert len(few) == 3
    assert few == many[:3]
    assert sorted(many) == sorted(entry.uid for shard in version.shards for entry in shard.samples)
    assert many != sorted(many)
    turned = Version(1, 1, 0, "", VIEWS, HW, version.shards[::-1])
    assert uids(changed(training_objects=3), turned) == few
    assert uids(changed(training_objects=100, seed=8)) != many
    assert uids(changed(training_objects=3), evaluated={few[0]}) == many[1:4]


def test_the_same_question_has_the_same_answer(dataset: tuple[Version, Storage], training: TrainingViews) -> None:
    version, storage = dataset
    again = index_views(storage, version, draw_objects(version, changed(training_objects=100), set()), set(), SILENT)
    assert again is not None
    np.testing.assert_array_equal(again.small, training.small)
    np.testing.assert_array_equal(again.owners, training.owners)


def test_no_training_views_give_no_answer(dataset: tuple[Version, Storage]) -> None:
    version, storage = dataset
    everyone = [(shard, entry) for shard in version.shards for entry in shard.samples]
    empty = Version(1, 1, 0, "", VIEWS, HW, ())
    assert load_training_views(version, storage, changed(split="train"), [], SILENT) is None
    assert load_training_views(empty, storage, changed(split="val"), [], SILENT) is None
    assert load_training_views(version, storage, changed(split="val", training_objects=0), [], SILENT) is None
    assert load_training_views(version, storage, changed(split="val"), everyone, SILENT) is None
    found = load_training_views(version, storage, changed(split="val", training_objects=2), [], SILENT)
    assert found is not None
    assert len(found.entries) == 2
    assert len(found.small) == 2 * VIEWS


def test_training_views_come_from_the_dataset_that_is_named(dataset: tuple[Version, Storage], tmp_path: Path) -> None:
    version, storage = dataset
    settings = changed(split="train", training_root=storage.root)
    elsewhere = Storage(tmp_path / "test")
    found = load_training_views(version, elsewhere, settings, [], SILENT)
    assert found is not None
    assert found.storage.root == storage.root
    other = Version(1, 1, 0, "", VIEWS, (64, 64), version.shards)
    with pytest.raises(Failure, match=r"evaluate.training_root: expected views of \(64, 64\) pixels, got \(16, 16\)"):
        load_training_views(other, elsewhere, settings, [], SILENT)
    with pytest.raises(Failure, match="expected a dataset with at least one version"):
        load_training_views(version, elsewhere, changed(training_root=str(tmp_path / "none")), [], SILENT)


def test_nearest_excludes_the_object_under_other_names(dataset: tuple[Version, Storage], tmp_path: Path) -> None:
    """A copy of the same file in another folder has another uid; its bytes tell."""
    version, storage = dataset

    def told(members: dict[str, bytes]) -> None:
        about = {"uid": "object-0-000", "licence": "CC0-1.0", "sha256": "ab" * 32}
        members |= replace_object_facts(members, about)

    there = Storage(tmp_path / "training")
    training = damaged(version, storage, there, "object-0-000", told)
    there.write(version_name(1), training.to_json())
    tested = Storage(tmp_path / "test")
    members = dict(read_sample(there, training.shards[0], training.shards[0].samples[0]).members)
    facts = {"uid": "copy", "licence": "CC0-1.0", "sha256": "ab" * 32}
    shard = write_shard(tested, "train", 0, [("copy", replace_object_facts(members, facts))])
    settings = changed(training_root=there.root, training_objects=100)
    found = load_training_views(version, tested, settings, [(shard, shard.samples[0])], SILENT)
    assert found is not None
    assert "object-0-000" not in {entry.uid for _, entry in found.entries}
    assert len(found.entries) == version.samples("train") - 1
    assert len(found.small) == VIEWS * len(found.entries)
