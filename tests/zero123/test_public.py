"""Public models by name: the hub's own client against a server on loopback with tiny folders of every spelling."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from base.errors import Failure, UsageError
from inference.models import ModelChoice, load_model, locate
from tests.serving import serving
from tests.zero123.hub import hub_handler
from tests.zero123.test_layouts import paper_model, same
from zero123.layouts.folders import SPELLINGS, save_folder
from zero123.pipeline import Zero123Pipeline
from zero123.public import cached_path, locate_by_name, packaged_models, public_models


@dataclass
class Hub:
    root: Path
    asked: list[str]
    cut_at: dict[str, int]
    model: Zero123Pipeline


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with a model in each spelling, beside what must not be fetched, and an empty cache."""
    model, root = paper_model({}), tmp_path / "hub"
    for name, spelling in (("kxic/zero123-xl", "kxic"), ("kxic/stable-zero123", "kxic"), ("someone/tuned", "ashawkey")):
        save_folder(model, root / name, SPELLINGS[spelling])
        (root / name / "unet" / "diffusion_pytorch_model.fp16.safetensors").write_bytes(b"half")
        (root / name / "pipeline_zero1to3.py").write_text("raise SystemExit('ran')")
    projection = root / "kxic/zero123-xl/cc_projection"
    (projection / "diffusion_pytorch_model.safetensors").unlink()
    state = model.cc_projection.projection.state_dict()
    torch.save(
        {f"projection.{name}": value for name, value in state.items()}, projection / "diffusion_pytorch_model.bin"
    )
    (root / "kxic/zero123-xl/unet/diffusion_pytorch_model.bin").write_bytes(b"the same weights, pickled")
    (root / "cvlab/zero123-weights").mkdir(parents=True)
    (root / "cvlab/zero123-weights/105000.ckpt").write_bytes(bytes(range(256)) * 64)
    found = Hub(root, [], {}, model)
    with serving(hub_handler(root, found.asked, found.cut_at)) as address:
        monkeypatch.setattr(constants, "ENDPOINT", address)
        template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.chdir(tmp_path)
        yield found


def test_a_model_by_name_is_fetched_once_tensors_only(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = public_models()["zero123-xl"]
    assert cached_path(entry) is None
    model = load_model(ModelChoice("zero123-xl"), "cpu")
    same(model, hub.model)
    assert model.pose_slot4 == "radius_difference"
    assert "unet/diffusion_pytorch_model.safetensors" in hub.asked
    assert "cc_projection/diffusion_pytorch_model.bin" in hub.asked, "tensors of no other form"
    unwanted = [name for name in hub.asked if name.endswith(".py") or "fp16" in name or name.startswith("feature")]
    assert unwanted == []
    assert "unet/diffusion_pytorch_model.bin" not in hub.asked
    assert cached_path(entry) is not None
    fetched = len(hub.asked)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("a connection"))
    same(load_model(ModelChoice("zero123-xl"), "cpu"), hub.model)
    assert len(hub.asked) == fetched


def test_any_hub_id_is_a_model_and_its_slot_is_told(hub: Hub) -> None:
    model = load_model(ModelChoice("someone/tuned", pose_slot4="input_polar"), "cpu")
    same(model, hub.model)
    assert model.pose_slot4 == "input_polar"


def test_noncommercial_licence_needs_acceptance(hub: Hub) -> None:
    with pytest.raises(
        UsageError, match=r"stable-zero123: its licence \(.*\) forbids commercial use; .*--accept-licen"
    ):
        locate_by_name("stable-zero123", accept_licence=False)
    assert hub.asked == []
    assert load_model(ModelChoice("stable-zero123", accept_licence=True), "cpu").pose_slot4 == "input_polar"
    assert locate_by_name("stable-zero123", accept_licence=False).pose_slot4 == "input_polar", "it is here now"


def test_a_fetch_that_was_cut_goes_on_where_it_stopped(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)  # of 10 MB, this file would be less than one
    hub.cut_at["105000.ckpt"] = 5000
    path = locate(ModelChoice("zero123-105000")).path
    assert path.read_bytes() == bytes(range(256)) * 64
    assert hub.asked == ["105000.ckpt", "105000.ckpt from 5000"]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nobody/nothing", "nobody/nothing: could not fetch it: "),
        ("cvlab/zero123-weights", "expected a model in diffusers' layout, got a repository without it"),
    ],
)
def test_a_repository_without_a_model_is_a_sentence(hub: Hub, name: str, sentence: str) -> None:
    with pytest.raises(Failure) as caught:
        locate(ModelChoice(name))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_model_that_is_nowhere_is_not_looked_for_on_the_hub(hub: Hub) -> None:
    with pytest.raises(UsageError, match=r"a \.ckpt file, owner/name or any of mini, zero123-105000, "):
        locate(ModelChoice("zero123-106000"))
    (hub.root.parent / "runs").mkdir()
    with pytest.raises(Failure, match="runs/modle: expected a model or a training run"):
        load_model(ModelChoice("runs/modle"), "cpu")
    with pytest.raises(Failure, match=r"none\.ckpt: expected a checkpoint file, got nothing"):
        load_model(ModelChoice("none.ckpt"), "cpu")
    assert hub.asked == []


def test_without_a_name_the_packaged_model_is_taken(hub: Hub) -> None:
    assert locate(ModelChoice()).path == packaged_models()["mini"]
    (hub.root.parent / "mini").mkdir()
    assert locate(ModelChoice("mini")).path == packaged_models()["mini"]
    assert locate(ModelChoice("./mini")).path == Path("mini")
    pipeline = load_model(ModelChoice(), "cpu")
    assert (tuple(pipeline.hw), pipeline.pose_slot4) == ((128, 128), "radius_difference")
    assert hub.asked == []


def test_packaged_models_are_small_and_have_a_card() -> None:
    for name, folder in packaged_models().items():
        assert (folder / "README.md").read_text().startswith(f"# {name}\n")
        assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 12_000_000


def test_the_table_says_all_that_is_needed() -> None:
    for name, model in public_models().items():
        assert (model.layout == "ldm") == bool(model.file), name
        assert ("stable" in name) == (model.pose_slot4 == "input_polar") == (not model.commercial), name
