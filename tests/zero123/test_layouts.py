"""Weights as others write them: exact round trips, diffusers' own converters as a second opinion, nothing trusted."""

import json
import pickle
import shutil
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from base.errors import Failure, UsageError
from tests.zero123.networks import settings, small_pipeline
from zero123.layouts.folders import SPELLINGS, Spelling, load_folder, save_folder, spelling_of
from zero123.layouts.foreign import flags_lost_in_folder, flags_lost_in_ldm
from zero123.layouts.ldm import UNET, Parts, check_file_schedule, fill_parts, ldm_state, load_ldm, read_state, save_ldm
from zero123.modules import unet_config
from zero123.pipeline import Zero123Pipeline
from zero123.projection import CCProjection
from zero123.schedule import Schedule, scheduler_config

CLIP = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 28,
    "patch_size": 14, "projection_dim": 16, "hidden_act": "quick_gelu",
}  # fmt: skip
VAE: dict[str, Any] = {
    "block_out_channels": (8, 16),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "layers_per_block": 2,
    "latent_channels": 4,
    "norm_num_groups": 4,
}
UNETS = {
    "small": {},
    "deep": {"channels": [8, 16, 16], "attention": [True, True, False], "layers": 2},
}


def parts(unet: dict[str, Any]) -> Parts:
    config = unet_config(settings(unet=unet).unet, 4)
    clip = CLIPVisionModelWithProjection(CLIPVisionConfig(**CLIP))
    return Parts(
        UNet2DConditionModel(**config), AutoencoderKL(**VAE), clip, CCProjection(embedding=16, pose=4, context=16)
    )


@pytest.fixture(params=UNETS)
def model(request: pytest.FixtureRequest) -> Zero123Pipeline:
    return paper_model(UNETS[request.param])


def paper_model(unet: dict[str, Any]) -> Zero123Pipeline:
    """A model of the paper's architecture with small random weights."""
    torch.manual_seed(0)
    made = parts(unet)
    for module in made:
        for tensor in module.parameters():
            torch.nn.init.normal_(tensor)
    return Zero123Pipeline(*made, small_pipeline().scheduler, (32, 32), "radius_difference")


def same(one: Zero123Pipeline | Parts, other: Zero123Pipeline | Parts) -> None:
    for name in Parts._fields:
        ours, theirs = getattr(one, name).state_dict(), getattr(other, name).state_dict()
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours), name


def laid_out(model: Zero123Pipeline) -> Parts:
    with torch.device("meta"):
        return Parts(*(_like(getattr(model, name)) for name in Parts._fields))


def _like(module: Any) -> Any:
    return type(module)(module.config) if hasattr(module.config, "to_dict") else type(module).from_config(module.config)


@pytest.mark.parametrize("ema", [True, False])
def test_the_originals_names_and_back(model: Zero123Pipeline, ema: bool, tmp_path: Path) -> None:
    save_ldm(model, tmp_path / "model.ckpt")
    found = laid_out(model)
    fill_parts(found, read_state(tmp_path / "model.ckpt"), where="here", ema=ema)
    same(model, found)
    assert not any(tensor.is_meta for module in found for tensor in (*module.parameters(), *module.buffers()))


def test_diffusers_own_converters_read_what_we_write(model: Zero123Pipeline) -> None:
    state = {name: tensor.clone() for name, tensor in ldm_state(model).items()}
    ours = model.unet.state_dict()
    theirs = convert_ldm_unet_checkpoint(dict(state), dict(model.unet.config))
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(theirs[name], ours[name]) for name in ours)
    averaged = convert_ldm_unet_checkpoint(dict(state), dict(model.unet.config), extract_ema=True)
    assert all(torch.equal(averaged[name], ours[name]) for name in ours)
    vae = convert_ldm_vae_checkpoint(dict(state), dict(model.vae.config))
    ours = model.vae.state_dict()
    assert vae.keys() == ours.keys()
    assert all(torch.equal(vae[name], ours[name]) for name in ours)


def test_openais_layer_is_ours_by_its_arithmetic(model: Zero123Pipeline) -> None:
    """`torch.nn.MultiheadAttention` is what OpenAI's block uses: given its tensors it must answer as our layer does."""
    state = ldm_state(model)
    prefix = "cond_stage_model.model.visual.transformer.resblocks.1.attn."
    theirs = torch.nn.MultiheadAttention(16, 2, batch_first=True)
    theirs.load_state_dict({name.removeprefix(prefix): state[name] for name in state if name.startswith(prefix)})
    x = torch.randn(1, 5, 16)
    ours = model.image_encoder.vision_model.encoder.layers[1].self_attn
    assert torch.allclose(theirs(x, x, x)[0], ours(x)[0], atol=1e-4)
    assert state["cond_stage_model.model.visual.proj"].shape == (16, 16)


@pytest.mark.parametrize("name", SPELLINGS)
def test_both_folders_and_back(model: Zero123Pipeline, name: str, tmp_path: Path) -> None:
    save_folder(model, tmp_path, SPELLINGS[name])
    assert spelling_of(tmp_path) == SPELLINGS[name]
    found = load_folder(tmp_path, "input_polar")
    same(model, found)
    assert (found.hw, found.pose_slot4) == ((32, 32), "input_polar")
    assert list(tmp_path.rglob("*.bin")) == []
    projection = SPELLINGS[name].folder
    if name == "kxic":  # as these repositories are: pickled, and half of them in half precision
        tensors = {
            f"projection.{key}": value.half() for key, value in model.cc_projection.projection.state_dict().items()
        }
        (tmp_path / projection / "diffusion_pytorch_model.safetensors").unlink()
        torch.save(tensors, tmp_path / projection / "diffusion_pytorch_model.bin")
        assert torch.equal(load_folder(tmp_path, "input_polar").cc_projection.projection.weight,
                           model.cc_projection.projection.weight.half().float())  # fmt: skip


class Callback:
    """What a trainer leaves in its checkpoints beside tensors."""

    def __init__(self) -> None:
        self.best = {"score": 1.0}


class Bomb:
    def __reduce__(self) -> tuple:
        return (Path.touch, (Path("pickle-was-opened"),))


def test_what_a_trainer_pickled_along_is_forgotten(model: Zero123Pipeline, tmp_path: Path) -> None:
    content = {"state_dict": OrderedDict(ldm_state(model)), "callbacks": {Callback: Callback()}, "epoch": 3}
    torch.save(content, tmp_path / "trained.ckpt")
    found = laid_out(model)
    fill_parts(found, read_state(tmp_path / "trained.ckpt"), where="here", ema=True)
    same(model, found)


def test_a_trainers_states_are_not_read_into_memory(model: Zero123Pipeline, tmp_path: Path) -> None:
    states = {"optimizer_states": {"exp_avg": torch.ones(64 << 18)}}  # 64 MiB, of which no view depends
    torch.save({"state_dict": ldm_state(model), **states}, tmp_path / "trained.ckpt")
    del states
    before = anonymous_kb()
    state = read_state(tmp_path / "trained.ckpt")
    assert anonymous_kb() - before < 16 << 10
    found = laid_out(model)
    fill_parts(found, state, where="here", ema=True)
    mapped = state["cc_projection.weight"].data_ptr()
    assert found.cc_projection.projection.weight.data_ptr() == mapped, "a copy"


def test_unneeded_tensors_are_not_read(model: Zero123Pipeline, tmp_path: Path) -> None:
    """Such a file puts its tensors at any multiple of 8 bytes, where only those that are used must not stay."""
    path, unused = tmp_path / "model.safetensors", "cond_stage_model.model.transformer.weight"
    tensors = {name: tensor.contiguous().clone() for name, tensor in ldm_state(model).items()}
    save_file({**tensors, unused: torch.ones(16 << 20)}, path)
    before = anonymous_kb()
    state = read_state(path)
    assert state[unused].data_ptr() % 64, "expected a place that PyTorch would not choose"
    assert anonymous_kb() - before < 16 << 10
    found = laid_out(model)
    fill_parts(found, state, where="here", ema=True)
    same(model, found)
    assert not any(tensor.data_ptr() % 64 for part in found for tensor in part.parameters())


def anonymous_kb() -> int:
    """Memory of this process that no file is behind."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))


@pytest.mark.parametrize("zipped", [True, False])
def test_what_would_run_is_refused(zipped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    content = {"state_dict": {"a": torch.zeros(2)}, "callbacks": Bomb()}
    torch.save(content, tmp_path / "model.ckpt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(Failure, match=r"model\.ckpt: expected a checkpoint that PyTorch wrote"):
        read_state(tmp_path / "model.ckpt")
    assert not (tmp_path / "pickle-was-opened").exists()
    with (tmp_path / "bare.ckpt").open("wb") as stream:
        pickle.dump({"state_dict": Bomb()}, stream)
    with pytest.raises(Failure, match=r"bare\.ckpt: expected a checkpoint that PyTorch wrote"):
        read_state(tmp_path / "bare.ckpt")
    assert not (tmp_path / "pickle-was-opened").exists()


def test_what_is_missing_unknown_or_misshapen_is_named(model: Zero123Pipeline) -> None:
    state = ldm_state(model)
    for change, sentence in (
        ({"cc_projection.bias": None}, "expected no missing tensor, got nothing named cc_projection.bias"),
        ({"model_ema.diffusion_modelout0bias": None}, "got nothing named model_ema.diffusion_modelout0bias"),
        ({"control_model.x": torch.zeros(1)}, "expected no unknown tensor, got control_model.x"),
        ({f"{UNET}input_blocks.0.0.lora_up": torch.zeros(1)}, f"no unknown tensor, got {UNET}input_blocks.0.0.lora_up"),
        ({f"{UNET}output_blocks.9.1.norm.bias": torch.zeros(1)}, f"got {UNET}output_blocks.9.1.norm.bias"),
        ({"model_ema.diffusion_modelextra": torch.zeros(1)}, "tensor, got model_ema.diffusion_modelextra"),
        ({"cc_projection.weight": torch.zeros(2, 2)}, "projection.weight: expected shape [16, 20], got [2, 2]"),
    ):
        broken = {name: value for name, value in {**state, **change}.items() if value is not None}
        with pytest.raises(Failure) as caught:
            fill_parts(laid_out(model), broken, where="file.ckpt", ema=True)
        assert sentence in str(caught.value)
    extra = {"betas": torch.zeros(3), "cond_stage_model.model.ln_final.bias": torch.zeros(2), "logvar": torch.zeros(3)}
    extra |= {f"model_ema.{name}": torch.zeros(()) for name in ("decay", "num_updates")}
    fill_parts(laid_out(model), {**state, **extra}, where="file.ckpt", ema=True)
    averaged = {name: value for name, value in state.items() if not name.startswith(UNET)}
    fill_parts(laid_out(model), averaged, where="file.ckpt", ema=True)


def test_a_file_of_another_noise_schedule_is_refused() -> None:
    schedule = Schedule.from_config(scheduler_config(prediction="epsilon", zero_terminal_snr=False, spacing="leading"))
    alphas = schedule.alphas_cumprod.float()
    betas = 1.0 - alphas.double() / torch.cat([torch.ones(1).double(), alphas.double()[:-1]])
    check_file_schedule({"alphas_cumprod": alphas, "betas": betas.float()}, schedule, where="file.ckpt")
    check_file_schedule({}, schedule, where="file.ckpt")
    flat = torch.cumprod(1.0 - torch.linspace(1e-4, 0.02, 1000), 0)
    for state, sentence in (
        ({"alphas_cumprod": flat}, "file.ckpt: alphas_cumprod: expected the noise schedule of the settings"),
        ({"betas": torch.linspace(1e-4, 0.02, 1000)}, "file.ckpt: betas: expected the noise schedule"),
        ({"betas": betas[:500]}, "file.ckpt: betas: expected 1000 timesteps, got [500]"),
        ({"betas": betas * torch.nan}, "file.ckpt: betas: expected the noise schedule"),
    ):
        with pytest.raises(Failure) as caught:
            check_file_schedule(state, schedule, where="file.ckpt")
        assert sentence in str(caught.value)


def test_a_file_without_averages_says_how_to_read_it(model: Zero123Pipeline) -> None:
    raw = {name: value for name, value in ldm_state(model).items() if not name.startswith("model_ema.")}
    with pytest.raises(
        Failure, match=r"expected an averaged UNet \(model_ema\.\*\), got nothing; --raw takes the UNet as"
    ):
        fill_parts(laid_out(model), raw, where="file.ckpt", ema=True)
    found = laid_out(model)
    fill_parts(found, raw, where="file.ckpt", ema=False)
    same(model, found)


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize("part", ["unet", "vae", "image_encoder"])
def test_a_folder_without_a_part_says_which_and_asks_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spelling: Spelling, part: str
) -> None:
    save_folder(paper_model({}), tmp_path / "model", spelling)
    shutil.rmtree(tmp_path / "model" / part)
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("a connection"))
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: pytest.fail("a host was asked for"))
    with pytest.raises(Failure, match=rf"model: expected a \w+ in {part}/, got no {part}/config\.json$"):
        load_folder(tmp_path / "model", "radius_difference")


def test_what_neither_names_nor_shapes_say_is_refused_or_told(tmp_path: Path) -> None:
    """The words that tell it are a command's, and the settings that it makes of them are the model's."""
    model = replace(paper_model({}), pose_slot4="input_polar")
    assert flags_lost_in_folder(model) == ["--pose-slot4", "input_polar"]
    slot, value, *words = flags_lost_in_ldm(model)
    assert ([slot, value], set(words[::2])) == (flags_lost_in_folder(model), {"--set"})
    unet = {"heads": 2, "norm_groups": 4}
    v = {"prediction": "v_prediction", "zero_terminal_snr": True, "timestep_spacing": "trailing"}
    named = (word.removeprefix("model.").split("=") for word in words[1::2])
    assert {name: yaml.safe_load(text) for name, text in named} == {
        "hw": [32, 32], **{f"unet.{name}": count for name, count in unet.items()}, **v,
    }  # fmt: skip
    flat = model.scheduler.from_config({**model.scheduler.config, "beta_end": 0.02})
    with pytest.raises(UsageError, match="expected a model of Stable Diffusion's noise schedule, got other"):
        ldm_state(replace(model, scheduler=flat))
    for change, sentence in (
        ({"timestep_spacing": "leading", "steps_offset": 7}, "whose last timestep is 1, as a .ckpt is read, got 7"),
        ({"set_alpha_to_one": not model.scheduler.config.set_alpha_to_one}, "whose ᾱ without noise is "),
    ):
        other = model.scheduler.from_config({**model.scheduler.config, **change})
        with pytest.raises(UsageError, match=sentence):
            ldm_state(replace(model, scheduler=other))
    save_folder(replace(model, scheduler=flat), tmp_path / "flat", SPELLINGS["kxic"])
    assert load_folder(tmp_path / "flat", "input_polar").scheduler.config.beta_end == 0.02
    with pytest.raises(UsageError, match="expected a model of 32 × 32 pixels, got 32 × 64"):
        save_folder(replace(model, hw=(32, 64)), tmp_path / "wide", SPELLINGS["kxic"])


def test_only_the_papers_architecture_has_these_layouts(tmp_path: Path) -> None:
    small = small_pipeline()
    with pytest.raises(UsageError, match="expected a model with Stable Diffusion's autoencoder and CLIP"):
        save_ldm(small, tmp_path / "x.ckpt")
    with pytest.raises(UsageError, match="expected a model with Stable Diffusion's autoencoder and CLIP"):
        save_folder(small, tmp_path, SPELLINGS["kxic"])
    for changes, sentence in (
        ({"latent_origin": "white"}, "latent_origin zero, got white"),
        ({"context_tokens": "patches"}, "image_encoder.tokens one, got patches"),
        ({"unet": UNet2DConditionModel(**unet_config(settings(unet={"context_in_time": True}).unet, 4))},
         "unet.context_in_time False, got True"),
        ({"cc_projection": CCProjection(embedding=16, pose=4, context=24)}, "unet.context 16, got 24"),
    ):  # fmt: skip
        other = replace(paper_model({}), **changes)
        for save in (lambda: ldm_state(other), lambda: save_folder(other, tmp_path, SPELLINGS["ashawkey"])):  # noqa: B023
            with pytest.raises(UsageError, match=f"expected a model of the paper's architecture, {sentence}"):
                save()
    with pytest.raises(UsageError, match="got autoencoder taesd, image_encoder latents"):
        load_ldm(tmp_path / "x.ckpt", settings(), "radius_difference")
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    with pytest.raises(Failure, match="expected a model folder of Zero1to3StableDiffusionPipeline or Zero123Pipeline"):
        load_folder(tmp_path, "radius_difference")
    with pytest.raises(Failure, match="expected a checkpoint file, got nothing"):
        read_state(tmp_path / "none.ckpt")
