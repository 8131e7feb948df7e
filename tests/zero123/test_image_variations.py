"""Image Variations, against diffusers' own pipeline on the same folder, noise and timesteps."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionImageVariationPipeline
from torch.nn.functional import interpolate

from base.errors import Failure
from tests.zero123.variations import CLIP_SIDE, SIDE, write_variations
from zero123.image_encoder import CLIP_MEAN, CLIP_STD
from zero123.image_variations import ImageVariations
from zero123.sampling import generators_for, noise_rows

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("variations")
    write_variations(path)
    return path


def picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (40, 40, 4), dtype=np.uint8)


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_pictures_are_those_of_diffusers(folder: Path, scale: float) -> None:
    pipeline = StableDiffusionImageVariationPipeline.from_pretrained(folder, safety_checker=None)
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config, clip_sample=False)
    pipeline.set_progress_bar_config(disable=True)
    rgba = picture().astype(np.float32) / 255.0
    rgb = torch.from_numpy(rgba[..., :3] * rgba[..., 3:] + 1.0 - rgba[..., 3:]).movedim(-1, 0)[None]
    square = interpolate(rgb, (CLIP_SIDE, CLIP_SIDE), mode="bicubic", align_corners=False)
    mean, std = (torch.tensor(values)[:, None, None] for values in (CLIP_MEAN, CLIP_STD))
    seeds = [3, 4, 5, 6, 7]
    for seed, found in zip(
        seeds,
        ImageVariations.from_folder(folder, CPU).pictures(picture(), seeds, steps=4, guidance_scale=scale),
        strict=True,
    ):
        expected = pipeline(
            (square - mean) / std, height=SIDE, width=SIDE, num_inference_steps=4, guidance_scale=scale,
            latents=noise_rows((4, SIDE // 8, SIDE // 8), generators_for([seed])), output_type="np",
        ).images[0]  # fmt: skip
        np.testing.assert_allclose(found, expected * 255.0, atol=0.51)


def test_the_input_and_the_seed_matter(folder: Path) -> None:
    model = ImageVariations.from_folder(folder, CPU)
    first, again, other_seed = model.pictures(picture(), [1, 1, 2], steps=2)
    (other_input,) = model.pictures(picture(1), [1], steps=2)
    assert (first == again).all()
    assert (first != other_seed).any()
    assert (first != other_input).any()
    assert model.hw == (SIDE, SIDE)


@pytest.mark.parametrize(
    ("part", "change", "sentence"),
    [
        ("unet", {"cross_attention_dim": 20}, "expected shape"),
        ("unet", {"_class_name": "UNet3D"}, "expected a UNet2DConditionModel, got UNet3D"),
        ("scheduler", {"beta_schedule": "linear"}, "beta_schedule: expected scaled_linear, got 'linear'"),
        ("scheduler", {"beta_start": None}, "scheduler_config.json: expected beta_start"),
    ],
)
def test_other_folders_are_named(tmp_path: Path, part: str, change: dict, sentence: str) -> None:
    write_variations(tmp_path)
    path = tmp_path / part / ("scheduler_config.json" if part == "scheduler" else "config.json")
    values = {**json.loads(path.read_text()), **change}
    path.write_text(json.dumps({key: value for key, value in values.items() if value is not None}))
    with pytest.raises(Failure, match=sentence):
        ImageVariations.from_folder(tmp_path, CPU)


def test_weights_that_can_run_code_are_refused(tmp_path: Path) -> None:
    write_variations(tmp_path)
    for path in (tmp_path / "vae").glob("*.safetensors"):
        path.rename(path.with_suffix(".bin"))
    with pytest.raises(Failure, match="which can run code and is not opened"):
        ImageVariations.from_folder(tmp_path, CPU)
