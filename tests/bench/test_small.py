"""The one command of the `small` model: what it runs, the weights that it writes, the figures that it tells."""

from pathlib import Path

import numpy as np
import pytest
import torch

from base.errors import Failure
from bench import small
from bench.small import Plan, half_weights, page
from tests.zero123.networks import small_pipeline
from zero123.pipeline import Zero123Pipeline

FILE_BYTES, WHOLE = 60_000, "diffusion_pytorch_model.safetensors"


def test_the_commands_go_from_objects_to_figures_in_order() -> None:
    plan = Plan(Path("/a"), Path("/b"), Path("/out"), ("--preset", "tiny"), ("--preset", "paper"), 0.1, 1)
    names = [words[3] if words[2] == "app" else words[2] for words in plan.commands()]
    assert names == ["build", "build", "cache", "train", "evaluate", "evaluate", "bench.train"]
    trained = [word for words in plan.commands() for word in words if "train" in words[3:4] and "root" in word]
    assert trained == ["storage.root=/out/dataset"], "nothing is learnt from the test objects"
    for words in (words for words in plan.commands() if "evaluate" in words[3:4]):
        assert "evaluate.training_root=/out/dataset" in words, "training views are those of what was trained on"


def test_weights_in_half_precision_give_nearly_the_same_view(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = small_pipeline()
    pipeline.save_pretrained(tmp_path / "whole")
    written = half_weights(tmp_path / "whole", tmp_path / "half", FILE_BYTES)
    whole = sum(path.stat().st_size for path in (tmp_path / "whole").rglob("*.safetensors"))
    half = sum(path.stat().st_size for path in (tmp_path / "half").rglob("*.safetensors"))
    assert half < 0.6 * whole
    split = sorted(path for path in (tmp_path / "half" / "unet").glob("*.safetensors"))
    assert len(split) > 1
    headers = [int.from_bytes(path.read_bytes()[:8], "little") for path in split]
    assert all(path.stat().st_size - header - 8 <= FILE_BYTES for path, header in zip(split, headers, strict=True))
    assert written["bytes"] == sum(written["files"].values())
    again = Zero123Pipeline.from_pretrained(tmp_path / "half")
    assert again.unet.dtype == torch.float32
    rgba = np.random.default_rng(0).integers(0, 256, (32, 32, 4), dtype=np.uint8)
    one, other = (
        model.views(rgba, [[0.1, 0.0, 1.0, 0.0]], guidance_scale=2.0, steps=2, eta=0.0, seeds=[0]).astype(int)
        for model in (pipeline, again)
    )
    assert np.abs(one - other).mean() < 1.0
    monkeypatch.setattr(small, "LIMIT_BYTES", 1000)
    with pytest.raises(Failure, match=r"expected at most 1,000 bytes, got \d"):
        half_weights(tmp_path / "whole", tmp_path / "half", 10 * whole)
    assert [path.name for path in (tmp_path / "half" / "unet").glob("*.safetensors*")] == [WHOLE], "written anew"


def test_the_page_tells_the_figures() -> None:
    means = {"model": 20.0, "input": 12.5, "white": 10.0}
    measures = {"psnr_db": means, "ssim": dict.fromkeys(means, 0.5), "haarpsi_distance": dict.fromkeys(means, 0.125)}
    near = {"degrees": 30.0, "pairs": 2, "psnr_db": {"model": 21.0, "input": 19.5}}
    seen = {"pairs": 8, **measures, "feature_distance": {}, "training_objects": 1234, "network": None, "near": near}
    row = {"images": 64_000, "loss": 0.25, "images_per_s": 1000.0, "data_wait": 0.01}
    text = page({"training": [row], "weights": {"bytes": 46_000_000}, "on-dataset": seen, "on-test": seen})
    assert "64,000 images, loss 0.2500, 1,000.0 images/s, data wait 1.0%; weights 46.0 MB." in text
    assert "| 8 views of test objects" in text
    assert text.count("20.00") == 2
    assert text.count("0.125") == 6
    assert text.count("searched among 1,234 training objects") == 2
    skipped = {"training": [row | {"loss": None}], "weights": {"bytes": 0}, "on-dataset": seen, "on-test": seen}
    assert "64,000 images, loss —, 1,000.0 images/s" in page(skipped)
