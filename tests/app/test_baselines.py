"""Baselines of `zero123 benchmark` that need data or networks, over a small set in the form of SD-30."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from app.main import main
from base.errors import Failure
from base.progress import SILENT
from base.storage import Storage
from evaluation.baselines import on_white
from evaluation.datasets.sd30 import Sd30
from evaluation.mesh_files import read_mesh
from evaluation.nearest import Entry
from evaluation.nearest_method import open_training_views
from evaluation.protocol import PROTOCOLS
from shards.reader import read_sample
from shards.version import read_version, version_name
from tests.evaluation.clips import write_image_half
from tests.evaluation.settings import SETTINGS
from tests.evaluation.small_sd30 import write_small_sd30
from tests.shards.datasets import HW, make_version
from tests.zero123.variations import write_variations

TARGETS = [0, 5]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SD-30 in small, a protocol of two targets, and a dataset of this project for training views."""
    folder = tmp_path_factory.mktemp("baselines")
    write_small_sd30(folder / "sd30")
    values = yaml.safe_load((PROTOCOLS / "sd30-views.yaml").read_text())
    values |= {"targets": list(TARGETS), "published": []}
    values["views"] = {"sound": values["views"]["sound"] | {"targets": list(TARGETS), "metrics": ["psnr"]}}
    (folder / "views.yaml").write_text(yaml.safe_dump(values))
    storage = Storage(folder / "dataset")
    version = make_version(storage, folder / "made", [3])
    storage.write(version_name(1), version.to_json())
    return folder


def predict(home: Path, out: Path, *words: object) -> int:
    fixed = ("benchmark", "predict", home / "views.yaml", "--data", home / "sd30", "--out", out, *words)
    return main([str(word) for word in fixed])


def test_the_nearest_training_view_is_an_answer(home: Path, tmp_path: Path) -> None:
    root = f"evaluate.training_root={home / 'dataset'}"
    assert predict(home, tmp_path, "--baseline", "nearest", "--set", root, "--set", "evaluate.training_objects=9") == 0
    method = yaml.safe_load((tmp_path / "method.yaml").read_text())
    assert method["name"] == "nearest training view"
    assert (method["settings"]["training_objects"], method["settings"]["training_version"]) == (3, 1)
    storage = Storage(home / "dataset")
    samples = [read_sample(storage, *entry) for entry in entries_of(storage)]
    # Training views of 16 × 16 are their own small pictures.
    small = [on_white(sample.image(view)) for sample in samples for view in sample.good_views]
    offered = [np.asarray(Image.fromarray(view).resize((256, 256), Image.Resampling.BICUBIC)) for view in small]
    for uid in ("brick", "egg"):
        first, other = (np.asarray(Image.open(tmp_path / "views" / uid / f"{target:03d}.png")) for target in TARGETS)
        wanted = Image.fromarray(on_white(Sd30(home / "sd30").load(uid).views[0].read()))
        apart = [np.square(np.asarray(wanted.resize(HW, Image.Resampling.BOX), float) - view).sum() for view in small]
        # The first target is the input's own camera, so its answer is the view most like the input.
        assert (offered[int(np.argmin(apart))] == first).all()
        assert any((view == other).all() for view in offered)


def entries_of(storage: Storage) -> list[Entry]:
    return [(shard, entry) for shard in read_version(storage).shards for entry in shard.samples]


def test_evaluated_objects_are_no_training_objects(home: Path) -> None:
    settings = SETTINGS.model_copy(update={"training_objects": 9})
    found = open_training_views(str(home / "dataset"), settings, {"object-0-001"}, SILENT)
    assert [entry.uid for _, entry in found.entries].count("object-0-001") == 0
    assert len(found.entries) == 2
    everyone = {entry.uid for _, entry in open_training_views(str(home / "dataset"), settings, set(), SILENT).entries}
    with pytest.raises(Failure, match="expected training objects for the nearest view, got nothing"):
        open_training_views(str(home / "dataset"), settings, everyone, SILENT)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("nearest",), "--baseline nearest: expected a dataset, --set evaluate.training_root=DIR, got nothing"),
        (("hull",), "--baseline: expected input, white, mean, nearest"),
    ],
)
def test_a_missing_source_is_named(
    home: Path, tmp_path: Path, words: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(home, tmp_path, "--baseline", *words) == 2
    assert sentence in capsys.readouterr().err


QUICK_FIELD = {
    "reconstruct.stages": [{"resolution": 12, "steps": 3}],
    "reconstruct.input_rays": 256,
    "reconstruct.samples_per_ray": 16,
    "reconstruct.score.viewpoints": 4,
    "reconstruct.mesh.resolution": 16,
    "reconstruct.mesh.levels": [0.1],
}


@pytest.fixture(scope="module")
def networks(home: Path) -> list[object]:
    """Flags with tiny networks of random weights, and a short optimisation."""
    write_variations(home / "variations")
    write_image_half(home / "clip")
    settings = [word for key, value in QUICK_FIELD.items() for word in ("--set", f"{key}={json.dumps(value)}")]
    return ["--variations", home / "variations", "--clip", home / "clip", "--device", "cpu", *settings]


def test_image_variations_ignore_the_camera_but_not_the_input(
    home: Path, networks: list[object], tmp_path: Path
) -> None:
    words = ("--baseline", "image-variations", "--steps", "2", *networks)
    assert predict(home, tmp_path, *words) == 0
    method = yaml.safe_load((tmp_path / "method.yaml").read_text())
    assert method["name"] == "Image Variations"
    assert method["settings"] == {"steps": 2, "guidance_scale": 3.0, "seed": 0, "model_px": 32}
    first, second, other = (
        np.asarray(Image.open(tmp_path / "views" / name)) for name in ("egg/000.png", "egg/005.png", "brick/000.png")
    )
    assert first.shape == (256, 256, 3)
    assert (first != second).any()
    assert (first != other).any()


@pytest.mark.parametrize("name", ["sjc-i", "dietnerf"])
def test_fields_answer_with_views_and_meshes(home: Path, networks: list[object], tmp_path: Path, name: str) -> None:
    assert predict(home, tmp_path / "views", "--baseline", name, "--objects", "egg", *networks) == 0
    first, second = (np.asarray(Image.open(tmp_path / "views/views/egg" / f"{target:03d}.png")) for target in TARGETS)
    assert (first != second).any(), "expected views that depend on the camera"
    assert yaml.safe_load((tmp_path / "views" / "method.yaml").read_text())["weights"]
    data = tmp_path / "data"
    shutil.copytree(home / "sd30" / "egg", data / "bell")
    words = ["sd30-mesh", "--data", data, "--objects", "bell", "--out", tmp_path / "meshes", "--baseline", name]
    assert main([str(word) for word in ("benchmark", "predict", *words, *networks)]) == 0
    assert (tmp_path / "meshes" / "failed.csv").read_text() == ""
    mesh = read_mesh(tmp_path / "meshes" / "meshes" / "bell.ply")
    assert 0.3 < np.ptp(mesh.vertices, axis=0).max() < 1.1


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("image-variations", "--baseline image-variations: expected --variations DIR, Image Variations, got nothing"),
        ("sjc-i", "--baseline sjc-i: expected --variations DIR, Image Variations, got nothing"),
        ("dietnerf", "--baseline dietnerf: expected --clip DIR, a CLIP image encoder, got nothing"),
    ],
)
def test_a_missing_network_is_named(
    home: Path, tmp_path: Path, name: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(home, tmp_path, "--baseline", name) == 2
    assert sentence in capsys.readouterr().err
