"""`zero123 imagine` with a tiny random text-to-image folder: every step's files, resuming, and refusals."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from app.main import main
from tests.zero123.networks import small_pipeline

pytestmark = pytest.mark.usefixtures("kept_signals")

SIDE = 32
QUICK = {
    "imagine.steps": 2,
    "sample.steps": 2,
    "reconstruct.stages": [{"resolution": 12, "steps": 2}],
    "reconstruct.score.viewpoints": 4,
    "reconstruct.mesh.resolution": 16,
    "reconstruct.mesh.texture": {"edge_px": 64, "views": 2},
    "reconstruct.turntable.frames": 2,
    "reconstruct.turntable.hw": [16, 16],
}
Imagine = Callable[..., int]


def write_text_model(folder: Path) -> None:
    """A Stable Diffusion of a few thousand random weights, as safetensors."""
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    torch.manual_seed(0)
    words = folder.parent / "words"
    words.mkdir(parents=True)
    letters = [letter + end for letter in "abcdefghijklmnopqrstuvwxyz," for end in ("", "</w>")]
    vocabulary = {word: number for number, word in enumerate([*letters, "<|startoftext|>", "<|endoftext|>"])}
    (words / "vocab.json").write_text(json.dumps(vocabulary))
    (words / "merges.txt").write_text("#version: 0.2\n")
    text = CLIPTextConfig(
        vocab_size=len(vocabulary), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        projection_dim=16, bos_token_id=len(letters), eos_token_id=len(letters) + 1, pad_token_id=len(letters) + 1,
    )  # fmt: skip
    unet = UNet2DConditionModel(
        sample_size=SIDE // 8, block_out_channels=(8, 8), layers_per_block=1, norm_num_groups=4, cross_attention_dim=16,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=2,
    )  # fmt: skip
    vae = AutoencoderKL(
        block_out_channels=(4, 4, 4, 4), down_block_types=("DownEncoderBlock2D",) * 4, norm_num_groups=2,
        up_block_types=("UpDecoderBlock2D",) * 4, latent_channels=4, sample_size=SIDE,
    )  # fmt: skip
    tokenizer = CLIPTokenizer.from_pretrained(words, model_max_length=77)
    scheduler = DDIMScheduler(steps_offset=1, clip_sample=False)
    StableDiffusionPipeline(
        vae=vae, text_encoder=CLIPTextModel(text), tokenizer=tokenizer, unet=unet,
        scheduler=scheduler, safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(folder, safe_serialization=True)  # fmt: skip


@pytest.fixture(scope="module")
def text_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("text") / "model"
    write_text_model(folder)
    return folder


@pytest.fixture(scope="module")
def imagine(tmp_path_factory: pytest.TempPathFactory) -> Imagine:
    folder = tmp_path_factory.mktemp("imagine")
    small_pipeline().save_pretrained(folder / "model")
    mask = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(mask).ellipse((8, 8, 24, 24), fill=255)
    mask.save(folder / "mask.png")
    settings = [word for key, value in QUICK.items() for word in ("--set", f"{key}={json.dumps(value)}")]

    def run(text_model: Path, out: Path, *words: str) -> int:
        fixed = ["--model", str(folder / "model"), "--mask", str(folder / "mask.png"), "--device", "cpu"]
        asked = ["imagine", "a blue armchair", "--text-model", str(text_model), "--out", str(out)]
        return main([*asked, *fixed, "--orbit", "2", "--preset", "tiny", *settings, *words])

    return run


def test_imagine_makes_each_stage_once(
    imagine: Imagine, text_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert imagine(text_model, out) == 0
    made = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    names = {str(path.relative_to(out)) for path in made}
    assert {"picture.png", "picture.json", "views/views.json", "views/001.png", "views/prepared.png"} <= names
    assert {"mesh/object.glb", "mesh/turntable.webp", "views/transforms.json", "views/sheet.png"} <= names
    record = json.loads((out / "picture.json").read_text())
    assert record["prompt"].startswith("a blue armchair, a single whole object")
    with Image.open(out / "picture.png") as picture:
        assert np.asarray(picture).shape == (SIDE, SIDE, 3)
        assert np.asarray(picture).std() > 1.0
    times = {
        path: path.stat().st_mtime_ns for path in (out / "picture.png", out / "views/000.png", out / "mesh/object.glb")
    }
    capsys.readouterr()
    assert imagine(text_model, out) == 0
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert "paint" not in capsys.readouterr().err
    (out / "mesh" / "object.glb").unlink()
    assert imagine(text_model, out) == 0
    assert (out / "mesh" / "object.glb").is_file()
    assert (out / "picture.png").stat().st_mtime_ns == times[out / "picture.png"]


@pytest.mark.parametrize("kind", ["pickle", "nan", "other", "own code", "none"])
def test_a_text_model_that_is_refused_is_one_sentence(
    kind: str, imagine: Imagine, text_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(text_model, folder)
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    index = json.loads((folder / "model_index.json").read_text())
    if kind == "pickle":
        torch.save({"conv_in.weight": torch.zeros(1)}, folder / "unet" / "diffusion_pytorch_model.bin")
        weights.unlink()
    elif kind == "nan":
        from safetensors.torch import load_file, save_file

        tensors = load_file(weights)
        save_file({**tensors, "conv_in.bias": torch.full_like(tensors["conv_in.bias"], torch.nan)}, weights)
    elif kind == "other":
        (folder / "model_index.json").write_text(json.dumps({**index, "_class_name": "DDPMPipeline"}))
    elif kind == "own code":
        (folder / "mine.py").write_text("raise SystemExit('run')\n")
        (folder / "model_index.json").write_text(json.dumps({**index, "unet": ["mine", "Net"]}))
    else:
        (folder / "model_index.json").unlink()
    assert imagine(folder, tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert "expected" in error.splitlines()[-1]
    assert str(folder) in error.splitlines()[-1]
    assert not (tmp_path / "out" / "picture.png").exists()
