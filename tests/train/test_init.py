"""A run that begins with the weights of another model."""

from pathlib import Path

import pytest
import torch

from base.errors import Failure, UsageError
from base.progress import SILENT
from tests.train.runs import make_dataset, model_settings, train, train_settings
from train.state import finished_checkpoints
from zero123.build import build_pipeline, first_pipeline
from zero123.model import trained_parts
from zero123.pipeline import Zero123Pipeline


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another model of the same kind, with other weights."""
    build_pipeline(model_settings(), seed=7).save_pretrained(tmp_path / "other")
    return tmp_path / "other"


def weights(pipeline: Zero123Pipeline) -> dict[str, torch.Tensor]:
    return {
        f"{part}.{name}": value
        for part, module in trained_parts(pipeline).items()
        for name, value in module.state_dict().items()
    }


def test_a_run_begins_with_the_weights_of_init(other: Path) -> None:
    drawn, begun = (weights(first_pipeline(model_settings(), 0, init)) for init in (None, str(other)))
    wanted = weights(build_pipeline(model_settings(), seed=7))
    assert all(torch.equal(begun[name], wanted[name]) for name in wanted)
    assert any(not torch.equal(drawn[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"unet": {"channels": [8, 32]}}, r"train\.init: expected model\.unet: block_out_channels \(8, 32\)"),
        ({"image_encoder": {"channels": [16]}}, r"train\.init: expected model\.image_encoder\.channels \(16,\)"),
        ({"latent_origin": "white"}, r"train\.init: expected model\.latent_origin 'white' .*, got 'zero' in "),
        ({"zero_terminal_snr": False}, r"train\.init: expected schedule: rescale_betas_zero_snr False"),
    ],
)
def test_another_kind_of_model_is_refused(changes: dict[str, object], sentence: str, other: Path) -> None:
    with pytest.raises(UsageError, match=sentence):
        first_pipeline(model_settings(**changes), 0, str(other))


def test_a_run_keeps_its_beginning(other: Path, tmp_path: Path) -> None:
    """The same command goes on from its own checkpoint; another beginning is another run."""
    storage, out = make_dataset(tmp_path / "dataset"), tmp_path / "run"
    settings = train_settings(init=str(other), images=8, optimiser={"learning_rate": 1e-9, "warmup_images": 0})
    train(model_settings(), settings, storage, out, SILENT)
    learnt = weights(Zero123Pipeline.from_pretrained(finished_checkpoints(out)[-1]))
    wanted = weights(build_pipeline(model_settings(), seed=7))
    assert all(torch.allclose(learnt[name], wanted[name], atol=1e-5) for name in wanted)
    with pytest.raises(UsageError, match=r"train\.init"):
        train(model_settings(), train_settings(images=16), storage, out, SILENT)


def test_a_beginning_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"expected a folder, a \.ckpt file, owner/name or any of .*, got 'tinny'"):
        first_pipeline(model_settings(), 0, "tinny")
    with pytest.raises(Failure, match="expected a model or a training run"):
        first_pipeline(model_settings(), 0, str(tmp_path))
