"""CLIP distances against transformers' own network, what every distance must do, and folders that are no CLIP."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from skimage.data import astronaut
from transformers import CLIPVisionModelWithProjection

from base.errors import Failure
from evaluation.features import KEPT, ClipFeatures
from tests.evaluation.clips import SIDE_PX, write_image_half, write_whole
from zero123.clip import ClipImages
from zero123.image_encoder import CLIP_MEAN, CLIP_STD

CPU = torch.device("cpu")
PHOTO = np.ascontiguousarray(astronaut()[:96, 180:276])
CELL = np.ascontiguousarray(PHOTO[:SIDE_PX, :SIDE_PX])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip")
    write_image_half(path)
    return path


@pytest.fixture(scope="module")
def features(folder: Path) -> ClipFeatures:
    return ClipFeatures(ClipImages.from_folder(folder, CPU))


def noisy(image: np.ndarray, sigma: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0.0, sigma, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def reference(folder: Path, image: np.ndarray) -> np.ndarray:
    """The embedding by transformers' loader and Pillow's resize."""
    square = np.asarray(Image.fromarray(image).resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC))
    pixels = torch.tensor(((square / 255.0 - CLIP_MEAN) / CLIP_STD).transpose(2, 0, 1)[None], dtype=torch.float32)
    with torch.no_grad():
        vector = CLIPVisionModelWithProjection.from_pretrained(folder)(pixel_values=pixels).image_embeds[0].numpy()
    return vector / np.linalg.norm(vector)


def test_vectors_are_those_of_transformers(folder: Path, features: ClipFeatures) -> None:
    np.testing.assert_allclose(features.encoder.vector(CELL), reference(folder, CELL), atol=1e-6)
    np.testing.assert_allclose(features.encoder.vector(PHOTO), reference(folder, PHOTO), atol=1e-2)
    expected = 1.0 - reference(folder, CELL) @ reference(folder, 255 - CELL)
    assert features.distance(CELL, 255 - CELL) == pytest.approx(expected, abs=1e-6)


def test_distance_is_symmetric_and_zero_for_equal_pictures(features: ClipFeatures) -> None:
    assert features.distance(PHOTO, PHOTO.copy()) == pytest.approx(0.0, abs=1e-12)
    assert features.distance(PHOTO, 255 - PHOTO) == features.distance(255 - PHOTO, PHOTO)
    assert 1e-3 < features.distance(PHOTO, 255 - PHOTO) <= 2.0


def test_more_noise_is_farther(features: ClipFeatures) -> None:
    sigmas = (2.0, 10.0, 40.0, 160.0)
    apart = [np.mean([features.distance(noisy(CELL, sigma, seed), CELL) for seed in range(8)]) for sigma in sigmas]
    assert apart == sorted(apart)


def test_what_is_kept_is_bounded_and_changes_nothing(features: ClipFeatures) -> None:
    first = [features.distance(noisy(CELL, 30.0, seed), CELL) for seed in range(KEPT + 8)]
    assert features._vector.cache_info().currsize == KEPT
    assert [features.distance(noisy(CELL, 30.0, seed), CELL) for seed in range(KEPT + 8)] == first


def test_a_whole_clip_and_half_precision_serve_too(folder: Path, features: ClipFeatures, tmp_path: Path) -> None:
    write_whole(tmp_path / "whole", CLIPVisionModelWithProjection.from_pretrained(folder))
    whole = ClipImages.from_folder(tmp_path / "whole", CPU)
    assert whole.digest == features.encoder.digest
    assert whole.vector(PHOTO).tolist() == features.encoder.vector(PHOTO).tolist()
    CLIPVisionModelWithProjection.from_pretrained(folder).half().save_pretrained(tmp_path / "half")
    half = ClipImages.from_folder(tmp_path / "half", CPU)
    assert half.digest != features.encoder.digest
    np.testing.assert_allclose(half.vector(PHOTO), features.encoder.vector(PHOTO), atol=1e-2)


def test_the_digest_is_of_the_weights(features: ClipFeatures, tmp_path: Path) -> None:
    for seed, name in ((0, "same"), (1, "other")):
        write_image_half(tmp_path / name, seed)
    digests = [ClipImages.from_folder(tmp_path / name, CPU).digest for name in ("same", "other")]
    assert digests[0] == features.encoder.digest != digests[1]
    assert len(digests[0]) == 64


def test_folders_that_hold_no_clip_say_so(folder: Path, tmp_path: Path) -> None:
    def fails(message: str) -> None:
        with pytest.raises(Failure, match=message):
            ClipImages.from_folder(tmp_path, CPU)

    fails("config.json: expected a readable file")
    config, tensors = json.loads((folder / "config.json").read_text()), load_file(folder / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    fails("expected weights as safetensors, got pytorch_model.bin, which can run code")
    save_file(
        {name: tensor for name, tensor in tensors.items() if "visual" not in name}, tmp_path / "model.safetensors"
    )
    fails("expected no missing tensor, got visual_projection.weight")
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({**config, "hidden_size": 32}))
    fails("expected shape")
    (tmp_path / "config.json").write_text(json.dumps({**config, "architectures": ["BertModel"]}))
    fails("expected a CLIPVisionModelWithProjection, got BertModel")
