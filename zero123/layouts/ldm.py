"""The original's checkpoint: a file with every tensor of the model under latent-diffusion's names.

Zero-1-to-3 (105000.ckpt …), Zero123-XL and Stable Zero123 share it. The UNet is in it twice: as trained, and averaged
(EMA) under names without dots. Read with `weights_only`; other pickled things of the trainer become empty objects and
run nothing. Tensors are mapped from the file, not read, until they are used.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from base.errors import Failure, UsageError
from zero123.layouts.foreign import check_architecture, check_schedule
from zero123.layouts.names import clip_layer, clip_pairs, rename, unet_pairs, vae_pairs
from zero123.model import PoseSlot4, Zero123Model
from zero123.modules import new_image_encoder, new_sd_vae, new_unet
from zero123.projection import CCProjection
from zero123.schedule import Schedule, scheduler_config
from zero123.settings import ModelSettings
from zero123.tensors import fill, read_tensors

Tensors = dict[str, Tensor]
SCHEDULE_TOLERANCE = 1e-5
"""Files hold their schedule in float32."""

UNET, EMA, VAE = "model.diffusion_model.", "model_ema.", "first_stage_model."
CLIP, PROJECTION = "cond_stage_model.model.visual.", "cc_projection."
UNUSED = (
    *("betas", "alphas_cumprod", "sqrt_", "log_one_minus_", "posterior_", "lvlb_weights", "logvar", "scale_factor"),
    *("first_stage_model.loss.", "cond_stage_model.mean", "cond_stage_model.std"),
    *("cond_stage_model.model.token_embedding.", "cond_stage_model.model.ln_final."),
    *("cond_stage_model.model.positional_embedding", "cond_stage_model.model.text_projection"),
    *("cond_stage_model.model.logit_scale", "cond_stage_model.model.transformer."),
)
"""Contents of a file without effect on any view: the schedule, the autoencoder's training loss, CLIP's text side."""


class Parts(NamedTuple):
    """The networks of a model."""

    unet: Any
    vae: Any
    image_encoder: Any
    cc_projection: Any


class Forgotten:
    """The substitute for a pickled thing other than a tensor: takes anything, keeps nothing, does nothing."""

    def __new__(cls, *_: Any, **__: Any) -> "Forgotten":  # noqa: D102
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        return None

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return self is other


def load_ldm(path: Path, settings: ModelSettings, pose_slot4: PoseSlot4, *, ema: bool = True) -> Zero123Model:
    """The model in the original's `.ckpt` (or the same names as safetensors), of the sizes in `settings`.

    `ema` takes the averaged UNet, as the original's demo does; `pose_slot4` must be told, for the file does not say.
    Raises Failure with the file and the missing, unknown or misshapen tensor.
    """
    _must_be_original(settings)
    with torch.device("meta"):
        parts = Parts(
            new_unet(settings),
            new_sd_vae(),
            new_image_encoder(settings),
            CCProjection(settings.image_encoder.embedding, 4, settings.unet.context),
        )
    config = scheduler_config(
        prediction=settings.prediction,
        zero_terminal_snr=settings.zero_terminal_snr,
        spacing=settings.timestep_spacing,
    )
    state = read_state(path)
    check_file_schedule(state, Schedule.from_config(config), where=str(path))
    fill_parts(parts, state, where=str(path), ema=ema)
    return Zero123Model(*parts, DDIMScheduler(**config), settings.hw, pose_slot4)


def check_file_schedule(state: Mapping[str, Tensor], schedule: Schedule, *, where: str) -> None:
    """Raise Failure when a file's own `alphas_cumprod` or `betas` are not those of the schedule it is read with."""
    alphas = schedule.alphas_cumprod
    before = torch.cat([torch.ones(1, dtype=alphas.dtype), alphas[:-1]])
    for name, expected in (("alphas_cumprod", alphas), ("betas", 1.0 - alphas / before)):
        got = state.get(name)
        if got is None:
            continue
        if got.shape != expected.shape:
            raise Failure(f"{where}: {name}: expected {len(expected)} timesteps, got {list(got.shape)}")
        error = float((got.double() - expected).abs().max())
        # Written so that NaN is an error too.
        if not error <= SCHEDULE_TOLERANCE:
            raise Failure(
                f"{where}: {name}: expected the noise schedule of the settings model.prediction, zero_terminal_snr, "
                f"got another, {error:.1g} apart"
            )


def fill_parts(parts: Parts, state: Mapping[str, Tensor], *, where: str, ema: bool) -> None:
    """Give parts laid out without memory the tensors of `state`, by the original's names."""
    rest = set(state)

    def take(name: str) -> Tensor:
        # The names left in the end were not understood, and are reported.
        rest.discard(name)
        if name not in state:
            raise Failure(f"{where}: expected no missing tensor, got nothing named {name}")
        return state[name].float()

    if ema and not any(name.startswith(EMA) for name in state):
        raise Failure(f"{where}: expected an averaged UNet ({EMA}*), got nothing; --raw takes the UNet as trained")
    unet, vae, clip, projection = parts
    fill(unet, _unet_from(unet, take, ema=ema), where=f"{where}: UNet")
    fill(vae, _vae_from(vae, take), where=f"{where}: autoencoder")
    fill(clip, _clip_from(clip, take), where=f"{where}: image encoder")
    fill(projection, {f"projection.{leaf}": take(PROJECTION + leaf) for leaf in ("weight", "bias")}, where=where)
    unknown = sorted(name for name in rest - _both_unets(unet) if not name.startswith(UNUSED))
    if unknown:
        raise Failure(f"{where}: expected no unknown tensor, got {', '.join(unknown[:3])}")


def save_ldm(pipeline: Zero123Model, path: Path) -> None:
    """Write a model as the original's `.ckpt`, tensors only, the UNet both as trained and as averaged.

    `flags_lost_in_ldm` gives the flags for the rest. Raises UsageError for a model beyond the original's names, OSError
    when it cannot be written.
    """
    state = ldm_state(pipeline)
    with path.open("wb") as stream:
        try:
            torch.save({"state_dict": state, "global_step": 0}, stream)
        except RuntimeError as error:
            # When the disk refuses, torch's writer says that it is not where it thought.
            raise error.__context__ if isinstance(error.__context__, OSError) else error from None


def ldm_state(pipeline: Zero123Model) -> Tensors:
    """Every tensor of a model under the original's names. Raises UsageError for a tensor without such a name."""
    check_architecture(pipeline)
    check_schedule(pipeline)
    unet, names = pipeline.unet.state_dict(), _unet_names(pipeline.unet)
    # Both names, because the original's programs read the averaged weights and train the others.
    state = {UNET + theirs: unet[ours] for ours, theirs in names.items()}
    state |= {_averaged(theirs): unet[ours] for ours, theirs in names.items()}
    state |= {VAE + name: tensor for name, tensor in _vae_to(pipeline.vae).items()}
    state |= {CLIP + name: tensor for name, tensor in _clip_to(pipeline.image_encoder).items()}
    projection = pipeline.cc_projection.projection
    return state | {PROJECTION + "weight": projection.weight.data, PROJECTION + "bias": projection.bias.data}


def read_state(path: Path) -> Tensors:
    """The tensors of a checkpoint file by name, mapped where the format allows. Raises Failure."""
    if path.suffix == ".safetensors":
        return read_tensors(path)
    if not path.is_file():
        raise Failure(f"{path}: expected a checkpoint file, got nothing")
    try:
        # Lightning's checkpoints pickle callbacks and settings beside the tensors.
        others = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        empty: list[Any] = [(Forgotten, name) for name in others]
        with torch.serialization.safe_globals(empty):
            # Mapped: the file has the UNet twice, and only half of it is read.
            content = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except Exception as error:  # noqa: BLE001 -- a hostile file makes the reader fail in any way
        sentence = " ".join(str(error).split())[:200]
        raise Failure(f"{path}: expected a checkpoint that PyTorch wrote, got: {sentence}") from None
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict):
        raise Failure(f"{path}: expected tensors by name, got {type(content).__name__}")
    tensors = {name: value for name, value in state.items() if isinstance(name, str) and isinstance(value, Tensor)}
    if not tensors:
        raise Failure(f"{path}: expected tensors by name, got nothing")
    return tensors


def _must_be_original(settings: ModelSettings) -> None:
    wanted = (settings.autoencoder, settings.image_encoder.kind, settings.latent_origin, settings.unet.context_in_time)
    if wanted != ("sd", "clip", "zero", False):
        raise UsageError(
            "expected the sizes of a model of the paper's architecture (--preset paper), got autoencoder "
            f"{wanted[0]}, image_encoder {wanted[1]}, latent_origin {wanted[2]}, context_in_time {wanted[3]}"
        )


def _averaged(name: str) -> str:
    return EMA + f"diffusion_model.{name}".replace(".", "")


def _both_unets(unet: Any) -> set[str]:
    """Every name of the UNet's, as trained and as averaged: a file has both, or one of them, and a single set is
    read."""
    theirs = _unet_names(unet).values()
    return {EMA + "decay", EMA + "num_updates", *(UNET + name for name in theirs), *map(_averaged, theirs)}


def _unet_names(unet: Any) -> dict[str, str]:
    return rename(unet.state_dict(), unet_pairs(unet.config))


def _unet_from(unet: Any, take: Callable[[str], Tensor], *, ema: bool) -> Tensors:
    return {ours: take(_averaged(theirs) if ema else UNET + theirs) for ours, theirs in _unet_names(unet).items()}


def _vae_names(vae: Any) -> dict[str, str]:
    return rename(vae.state_dict(), vae_pairs(vae.config))


def _vae_from(vae: Any, take: Callable[[str], Tensor]) -> Tensors:
    found = {ours: take(VAE + theirs) for ours, theirs in _vae_names(vae).items()}
    # The original's attention is a convolution of 1 × 1.
    return {name: tensor[..., 0, 0] if _is_attention(name, tensor, 4) else tensor for name, tensor in found.items()}


def _vae_to(vae: Any) -> Tensors:
    state = vae.state_dict()
    return {
        theirs: state[ours][..., None, None] if _is_attention(ours, state[ours], 2) else state[ours]
        for ours, theirs in _vae_names(vae).items()
    }


def _is_attention(name: str, tensor: Tensor, dimensions: int) -> bool:
    return ".attentions." in name and tensor.ndim == dimensions


def _clip_from(clip: Any, take: Callable[[str], Tensor]) -> Tensors:
    ours, layers = list(clip.state_dict()), clip.config.num_hidden_layers
    found: Tensors = {}
    for layer in range(layers):
        for leaf in ("weight", "bias"):
            joined = take(f"{CLIP}transformer.resblocks.{layer}.attn.in_proj_{leaf}")
            found |= dict(zip(_query_key_value(layer, leaf), joined.chunk(3), strict=True))
    names = rename((name for name in ours if name not in found), clip_pairs(clip.config.to_dict()))
    found |= {name: take(CLIP + theirs) for name, theirs in names.items()}
    # OpenAI's CLIP multiplies by the matrix from the other side.
    found["visual_projection.weight"] = found["visual_projection.weight"].T.contiguous()
    return found


def _clip_to(clip: Any) -> Tensors:
    state, layers = clip.state_dict(), clip.config.num_hidden_layers
    made: Tensors = {}
    for layer in range(layers):
        for leaf in ("weight", "bias"):
            parts = [state.pop(name) for name in _query_key_value(layer, leaf)]
            made[f"transformer.resblocks.{layer}.attn.in_proj_{leaf}"] = torch.cat(parts)
    state["visual_projection.weight"] = state["visual_projection.weight"].T.contiguous()
    names = rename(state, clip_pairs(clip.config.to_dict()))
    return made | {theirs: state[ours] for ours, theirs in names.items()}


def _query_key_value(layer: int, leaf: str) -> Iterable[str]:
    return [f"{clip_layer(layer)}.self_attn.{part}_proj.{leaf}" for part in "qkv"]
