"""`from zero123 import Zero123Pipeline`: what a person types, with pictures of PIL in and out."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import zero123
from base.errors import Failure, UsageError
from geometry.relative import pose_from_deltas
from tests.zero123.networks import small_pipeline
from tests.zero123.test_layouts import paper_model, same
from zero123 import Zero123Pipeline
from zero123.layouts.folders import SPELLINGS, save_folder
from zero123.layouts.ldm import save_ldm
from zero123.locate import open_model

ROOT = Path(__file__).parents[2]
FEW = {"steps": 3}


@pytest.fixture(scope="module")
def pipe() -> Zero123Pipeline:
    return small_pipeline()


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 4), np.uint8), "RGBA")


def test_one_move_gives_a_picture_and_several_give_a_list(pipe: Zero123Pipeline, picture: Image.Image) -> None:
    view = pipe(picture, up_deg=20, right_deg=45, **FEW)
    assert (view.mode, view.size) == ("RGB", (32, 32))
    several = pipe(picture, up_deg=[20, 0], right_deg=45, seed=0, **FEW)
    assert len(several) == 2
    assert np.abs(np.asarray(several[0]).astype(int) - np.asarray(view)).max() <= 1
    poses = pose_from_deltas(np.deg2rad([-20.0, 0.0]), np.deg2rad([45.0, 45.0]), 0.0)
    expected = pipe.views(np.asarray(picture), poses, seeds=[0, 1], **FEW)
    assert all(np.array_equal(view, other) for view, other in zip(several, expected, strict=True))
    assert not np.array_equal(view, pipe(picture, up_deg=20, right_deg=45, seed=1, **FEW))


def test_the_models_own_defaults_are_used(picture: Image.Image) -> None:
    pipe = small_pipeline()
    pipe.sampling = pipe.sampling_with(steps=2, guidance_scale=1.0)
    told = pipe(picture, right_deg=30, steps=2, guidance_scale=1.0)
    assert np.array_equal(pipe(picture, right_deg=30), told)
    assert not np.array_equal(pipe(picture, right_deg=30, steps=3), told)


def test_pictures_of_any_shape_and_kind_are_taken(pipe: Zero123Pipeline) -> None:
    wide = np.full((20, 60, 3), 200, np.uint8)
    grey = Image.new("L", (50, 50), 90)
    for given in (wide, Image.fromarray(wide), grey, grey.convert("P")):
        assert pipe(given, right_deg=10, steps=2).size == (32, 32)


def test_wrong_values_are_one_sentence(pipe: Zero123Pipeline, picture: Image.Image) -> None:
    with pytest.raises(UsageError, match="sampling: stepz: expected no such key, got 3"):
        pipe(picture, stepz=3)
    with pytest.raises(UsageError, match="eta 0 with sampler unipc, which adds no noise"):
        pipe(picture, sampler="unipc", eta=0.5)


def test_from_pretrained_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = paper_model({})
    checkpoint = tmp_path / "run" / "checkpoints" / "0000000008"
    model.save_pretrained(checkpoint)
    with pytest.raises(Failure, match="run: expected a model or a training run"):
        Zero123Pipeline.from_pretrained(tmp_path / "run")
    (checkpoint / "training_state").mkdir()
    (checkpoint / "training_state" / "state.json").write_text("{}")
    save_folder(model, tmp_path / "public", SPELLINGS["kxic"])
    for path in (tmp_path / "run", checkpoint, tmp_path / "public"):
        same(Zero123Pipeline.from_pretrained(path), model)
    assert open_model(tmp_path / "public", pose_slot4="input_polar").pose_slot4 == "input_polar"
    with pytest.raises(UsageError, match="expected --pose-slot4 radius_difference, as the checkpoint says, got input_"):
        open_model(checkpoint, pose_slot4="input_polar")
    save_ldm(model, tmp_path / "model.ckpt")
    with pytest.raises(Failure, match=r"model\.ckpt: UNet: expected no (missing|unknown) tensor|got nothing named"):
        Zero123Pipeline.from_pretrained(tmp_path / "model.ckpt")  # the paper's sizes are others


def test_importing_the_package_loads_nothing_heavy() -> None:
    program = "import sys, zero123; print([name for name in ('torch', 'diffusers') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    with pytest.raises(AttributeError, match="has no attribute 'Zero124Pipeline'"):
        zero123.Zero124Pipeline  # noqa: B018


def test_no_module_of_the_package_imports_in_a_circle() -> None:
    imports = {}
    for path in (ROOT / "zero123").rglob("*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        found = [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
        imports[name] = {module for module in found if module.startswith("zero123.")}

    def reached(name: str, seen: frozenset[str]) -> None:
        assert name not in seen, f"{name} imports itself by way of {sorted(seen)}"
        for module in imports.get(name, ()):
            reached(module, seen | {name})

    for name in imports:
        reached(name, frozenset())


@pytest.mark.slow
def test_the_example_runs(tmp_path: Path, picture: Image.Image) -> None:
    pipe = small_pipeline()
    pipe.sampling = pipe.sampling_with(steps=2)
    pipe.save_pretrained(tmp_path / "model")
    picture.save(tmp_path / "photo.png")
    words = [str(tmp_path / "model"), str(tmp_path / "photo.png"), str(tmp_path / "view.png")]
    program = [sys.executable, "examples/novel_view.py", *words]
    # Another number of threads may round to another last bit.
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(torch.get_num_threads()))
    done = subprocess.run(program, cwd=ROOT, env={**os.environ, **threads}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert np.array_equal(Image.open(tmp_path / "view.png"), pipe(picture, up_deg=20, right_deg=45))


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    model = paper_model({})
    with torch.no_grad():
        model.unet.conv_in.weight[0, 0, 0, 0] = float("nan")
        model.cc_projection.projection.bias[0] = float("inf")
    model.save_pretrained(tmp_path / "ours")
    with pytest.raises(Failure, match=r"unet.*conv_in\.weight: expected finite numbers, got NaN or infinity"):
        Zero123Pipeline.from_pretrained(tmp_path / "ours")
    save_folder(model, tmp_path / "public", SPELLINGS["ashawkey"])
    with pytest.raises(Failure, match=r"unet: conv_in\.weight: expected finite numbers"):
        Zero123Pipeline.from_pretrained(tmp_path / "public")
