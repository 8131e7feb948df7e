"""Fréchet and kernel distance of a small set in the form of SD-30, in the space of a network made by hand."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from app.main import main
from base.errors import UsageError
from evaluation.images.feature_network import open_feature_network
from evaluation.images.frechet import Gaussian, frechet_distance, kernel_distance
from evaluation.images.values import rgb_on_white, to_bytes
from evaluation.protocol import PROTOCOLS
from evaluation.summary import Summary, read_summary
from tests.evaluation.clips import write_image_half
from tests.evaluation.small_sd30 import write_small_sd30
from tests.photo.onnx_files import red_network

pytest.importorskip("onnxruntime")
SIDE = 4
TARGETS = [0, 3, 7]
PLAIN = {"mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0], "resize": "bilinear"}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the set, a protocol with a single variant, and a network with 4 × 4 reds as features."""
    root = write_small_sd30(tmp_path_factory.mktemp("sd30"))
    values = yaml.safe_load((PROTOCOLS / "sd30-views.yaml").read_text())
    values["targets"] = list(TARGETS)  # no list twice: YAML would write an alias
    values["views"] = {"sound": values["views"]["sound"] | {"targets": list(TARGETS), "metrics": ["psnr"]}}
    (root.parent / "views.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    red_network(root.parent / "reds.onnx", SIDE)
    (root.parent / "reds.yaml").write_text(yaml.safe_dump(PLAIN))
    return root


def score(small: Path, out: Path, *words: object, network: str = "reds.onnx", code: int = 0) -> Summary:
    flags = ["--data", small, "--features", small.parent / network, "--out", out]
    assert main(["benchmark", words[0], str(small.parent / "views.yaml"), *map(str, [*words[1:], *flags])]) == code
    return read_summary(out)


def reds(path: Path) -> np.ndarray:
    """The features of a picture, without the network."""
    rgb = to_bytes(rgb_on_white(np.asarray(Image.open(path))))
    small = Image.fromarray(rgb).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.asarray(small)[..., 0].ravel().astype(np.float32).astype(np.float64) / 255.0


def test_the_truth_is_at_no_distance(small: Path, tmp_path: Path) -> None:
    found = score(small, tmp_path, "oracle", "--kind", "truth").distances["sound"]
    assert found["fid/reds"] == pytest.approx(0.0, abs=1e-5)
    assert found["kid/reds"] < 0.0  # the unbiased estimate of zero on so few pictures


def test_the_distances_are_those_of_the_features(small: Path, tmp_path: Path) -> None:
    summary = score(small, tmp_path, "run", "--baseline", "input")
    true = np.stack([reds(small / uid / f"{k:03d}.png") for uid in ("brick", "egg") for k in TARGETS])
    copied = np.stack([reds(small / uid / "000.png") for uid in ("brick", "egg") for _ in TARGETS])
    found = summary.distances["sound"]
    assert found["fid/reds"] == pytest.approx(frechet_distance(Gaussian.of(copied), Gaussian.of(true)), abs=1e-5)
    assert found["kid/reds"] == pytest.approx(kernel_distance(copied, true), abs=1e-6)
    assert list(summary.networks) == ["features/reds"]
    table = (tmp_path / "table.md").read_text()
    assert "Fréchet distance (reds) ↓" in table
    assert f" {found['fid/reds']:.3f} |" in table  # without an interval


def test_kept_features_are_used_until_prediction_or_network_changes(small: Path, tmp_path: Path) -> None:
    before = score(small, tmp_path, "run", "--baseline", "input").distances
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "features").iterdir()}
    (tmp_path / "features" / "egg.npz").write_bytes(b"PK\x03\x04 cut short")
    assert score(small, tmp_path, "run", "--baseline", "input").distances == before
    now = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "features").iterdir()}
    assert now["brick.npz"] == kept["brick.npz"]
    assert now["egg.npz"] > kept["egg.npz"]
    (small.parent / "darker.onnx").write_bytes((small.parent / "reds.onnx").read_bytes())
    (small.parent / "darker.yaml").write_text(yaml.safe_dump(PLAIN | {"std": [2.0, 2.0, 2.0]}))
    found = score(small, tmp_path, "run", "--baseline", "input", network="darker.onnx").distances["sound"]
    assert found["fid/darker"] == pytest.approx(before["sound"]["fid/reds"] / 4.0, rel=1e-3)


def test_a_failed_object_counts_as_white_views(small: Path, tmp_path: Path) -> None:
    score(small, tmp_path, "run", "--baseline", "input")
    predictions = tmp_path / "predictions"
    (predictions / "failed.csv").write_text("egg,lost\n")
    words = ("score", "--predictions", predictions)
    found = score(small, tmp_path / "failed", *words, code=1).distances["sound"]["fid/reds"]
    (predictions / "failed.csv").unlink()
    for view in (predictions / "views" / "egg").iterdir():
        Image.new("RGB", (256, 256), "white").save(view)
    assert score(small, tmp_path / "white", *words).distances["sound"]["fid/reds"] == pytest.approx(found, abs=1e-9)


def test_a_clip_folder_is_a_network(tmp_path: Path) -> None:
    write_image_half(tmp_path)
    network = open_feature_network(tmp_path)
    first, second = (network.features(np.full((48, 48, 3), level, np.uint8)) for level in (20, 220))
    assert network.name == "clip"
    assert first.shape == (12,)
    assert not np.allclose(first, second)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("gone.onnx", "expected a CLIP folder or an .onnx file that exists"),
        ("text.onnx", "expected an ONNX network"),
        ("mean.onnx", r"mean\.yaml:1: mean\.1: expected a value"),
    ],
)
def test_a_wrong_network_is_a_sentence(tmp_path: Path, name: str, sentence: str) -> None:
    (tmp_path / "text.onnx").write_text("no network")
    red_network(tmp_path / "mean.onnx", SIDE)
    (tmp_path / "mean.yaml").write_text("mean: [1.0]\n")
    with pytest.raises(UsageError, match=sentence):
        open_feature_network(tmp_path / name)
