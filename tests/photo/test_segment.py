"""Segmentation networks: one made by hand, byte by byte, and a real ISNet where it is at hand."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from base.errors import Failure, UsageError
from bench.composites import composite
from photo.networks import BIREFNET, ISNET, NETWORKS, U2NET, normalisation_of
from photo.segment import cut_by_network, without_specks
from photo.weights import weights_file
from tests.photo.onnx_files import red_network
from tests.photo.pictures import cut_out_disc, disc, settings

pytest.importorskip("onnxruntime")
REAL = Path(__file__).parents[3] / "shared" / "weights" / "isnet" / "isnet_quint8.onnx"


def test_network_mask_has_the_picture_size(tmp_path: Path) -> None:
    path = red_network(tmp_path / "u2net_red.onnx")
    rgb = np.zeros((48, 64, 3), np.uint8)
    rgb[disc((48, 64), (24, 30), 14), 0] = 255
    mask, name = cut_by_network(rgb, settings(cut_out=str(path)))
    assert (mask.shape, name) == ((48, 64), "u2net_red.onnx")
    inside, truth = mask > 0.5, rgb[..., 0] > 0
    assert (inside & truth).sum() / (inside | truth).sum() > 0.9


def test_what_is_no_network_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("not a network")
    for name, words in (
        (str(tmp_path / "text.onnx"), "expected an ONNX network"),
        ("u3net", "isnet-general-use.*u3net"),
    ):
        with pytest.raises(UsageError, match=words) as raised:
            cut_by_network(np.zeros((8, 8, 3), np.uint8), settings(cut_out=name))
        assert "\n" not in str(raised.value)


def test_normalisation_is_rembgs() -> None:
    rgb = np.array([[[200, 100, 0]]], np.uint8)
    np.testing.assert_allclose(ISNET.apply(rgb)[0, 0], [0.5, 0.0, -0.5], atol=1e-6)
    np.testing.assert_allclose(U2NET.apply(rgb)[0, 0, 0], (1.0 - 0.485) / 0.229, rtol=1e-6)
    np.testing.assert_allclose(BIREFNET.mask(np.array([[-9.0, 0.0, 9.0]], np.float32)), [[0, 0.5, 1]], atol=1e-3)
    assert ISNET.mask(np.full((2, 2), 0.1, np.float32)).max() < 0.2  # nothing found stays nothing
    assert normalisation_of("BiRefNet-x.onnx") is BIREFNET
    assert normalisation_of("u2netp.onnx") is U2NET
    assert normalisation_of("mine.onnx") is ISNET


def test_weights_are_fetched_once_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a file: address, through the same code; what an interrupted download left is thrown away if it is wrong."""
    source = tmp_path / "server" / "net.onnx"
    source.parent.mkdir()
    source.write_bytes(b"weights" * 1000)
    monkeypatch.setattr("photo.networks.RELEASE", f"file://{source.parent}/")
    network = replace(NETWORKS["u2netp"], file="net.onnx", sha256=hashlib.sha256(source.read_bytes()).hexdigest())
    path = weights_file(network, tmp_path / "cache", 10)
    assert path.read_bytes() == source.read_bytes()
    source.unlink()
    assert weights_file(network, tmp_path / "cache", 10) == path


def test_wrong_weights_and_no_network_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "net.onnx"
    source.write_bytes(b"something else")
    monkeypatch.setattr("photo.networks.RELEASE", f"file://{tmp_path}/")
    network = replace(NETWORKS["u2netp"], file="net.onnx")
    with pytest.raises(Failure, match="SHA-256"):
        weights_file(network, tmp_path / "cache", 10)
    assert list((tmp_path / "cache").iterdir()) == []
    with pytest.raises(Failure, match=r"gone\.onnx.*put it at"):
        weights_file(replace(network, file="gone.onnx"), tmp_path / "cache", 10)
    with pytest.raises(Failure, match="at most 1 MB"):
        weights_file(network, tmp_path / "cache", 1)


def test_specks_are_taken_out() -> None:
    rng = np.random.default_rng(0)
    truth = disc((200, 200), (100, 100), 50)
    mask = np.where(rng.random((200, 200)) < 0.05, 1.0, truth.astype(np.float32)).astype(np.float32)
    np.testing.assert_array_equal(without_specks(truth.astype(np.float32)) > 0.5, truth)
    assert ((without_specks(mask) > 0.5) & ~truth).sum() < 100 < ((mask > 0.5) & ~truth).sum()


@pytest.mark.slow
@pytest.mark.skipif(not REAL.exists(), reason="the real ISNet is not here")
def test_a_real_isnet_finds_an_object() -> None:
    rgba = cut_out_disc((160, 160), (80, 80), 45)
    mask, _ = cut_by_network(composite(rgba, "plain", np.random.default_rng(0)), settings(cut_out=str(REAL)))
    inside, truth = mask > 0.5, rgba[..., 3] > 127
    assert (inside & truth).sum() / (inside | truth).sum() > 0.6  # a quantised network on a small picture
