"""The names of tensors in the original (latent-diffusion, OpenAI's CLIP) and in diffusers and transformers.

A pair maps the path of a module of ours to the original's; everything below it has the same names in both.
"""

from collections.abc import Iterable, Mapping
from typing import Any

Pairs = dict[str, str]

UNET_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
CLIP_LAYER = {
    "self_attn.out_proj": "attn.out_proj",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
CLIP_ENDS = {
    "vision_model.embeddings.class_embedding": "class_embedding",
    "vision_model.embeddings.patch_embedding": "conv1",
    "vision_model.embeddings.position_embedding.weight": "positional_embedding",
    "vision_model.pre_layrnorm": "ln_pre",
    "vision_model.post_layernorm": "ln_post",
    "visual_projection.weight": "proj",
}


def rename(names: Iterable[str], pairs: Mapping[str, str]) -> dict[str, str]:
    """The original's name of each of our tensors. Raises KeyError for a tensor below no pair."""
    return {name: _renamed(name, pairs) for name in names}


def _renamed(name: str, pairs: Mapping[str, str]) -> str:
    path = name
    while path not in pairs:
        if "." not in path:
            raise KeyError(name)
        path = path.rpartition(".")[0]
    return pairs[path] + name[len(path) :]


def unet_pairs(config: Mapping[str, Any]) -> Pairs:
    """The modules of a UNet2DConditionModel of this configuration, as latent-diffusion numbers them."""
    levels, layers = len(config["block_out_channels"]), config["layers_per_block"]
    attends = [kind.startswith("CrossAttn") for kind in config["down_block_types"]]
    pairs = {
        "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2",
        "conv_in": "input_blocks.0.0",
        "conv_norm_out": "out.0",
        "conv_out": "out.2",
        "mid_block.attentions.0": "middle_block.1",
        **_below("mid_block.resnets.0", "middle_block.0", UNET_RESNET),
        **_below("mid_block.resnets.1", "middle_block.2", UNET_RESNET),
    }
    for level in range(levels):
        first, ours = 1 + level * (layers + 1), f"down_blocks.{level}"
        for layer in range(layers):
            pairs |= _below(f"{ours}.resnets.{layer}", f"input_blocks.{first + layer}.0", UNET_RESNET)
            pairs[f"{ours}.attentions.{layer}"] = f"input_blocks.{first + layer}.1"
        pairs[f"{ours}.downsamplers.0.conv"] = f"input_blocks.{first + layers}.0.op"
    for level in range(levels):
        first, ours = level * (layers + 1), f"up_blocks.{level}"
        for layer in range(layers + 1):
            pairs |= _below(f"{ours}.resnets.{layer}", f"output_blocks.{first + layer}.0", UNET_RESNET)
            pairs[f"{ours}.attentions.{layer}"] = f"output_blocks.{first + layer}.1"
        # The upsampler comes after the attention, if the level has any.
        last = 2 if attends[levels - 1 - level] else 1
        pairs[f"{ours}.upsamplers.0.conv"] = f"output_blocks.{first + layers}.{last}.conv"
    return pairs


def vae_pairs(config: Mapping[str, Any]) -> Pairs:
    """The modules of an AutoencoderKL of this configuration, as latent-diffusion names them."""
    levels, layers = len(config["block_out_channels"]), config["layers_per_block"]
    pairs = {"quant_conv": "quant_conv", "post_quant_conv": "post_quant_conv"}
    for side, blocks, theirs, resample in (
        ("encoder", "down_blocks", "down", "downsample"),
        ("decoder", "up_blocks", "up", "upsample"),
    ):
        pairs |= {f"{side}.{name}": f"{side}.{name}" for name in ("conv_in", "conv_out")}
        pairs[f"{side}.conv_norm_out"] = f"{side}.norm_out"
        for number in range(2):
            pairs |= _vae_resnet(f"{side}.mid_block.resnets.{number}", f"{side}.mid.block_{number + 1}")
        pairs |= _below(f"{side}.mid_block.attentions.0", f"{side}.mid.attn_1", VAE_ATTENTION)
        for level in range(levels):
            ours = f"{side}.{blocks}.{level}"
            # The original counts the decoder's levels by resolution, diffusers in the order of use.
            their = f"{side}.{theirs}.{level if side == 'encoder' else levels - 1 - level}"
            for layer in range(layers + (side == "decoder")):
                pairs |= _vae_resnet(f"{ours}.resnets.{layer}", f"{their}.block.{layer}")
            pairs[f"{ours}.{resample}rs.0.conv"] = f"{their}.{resample}.conv"
    return pairs


def clip_pairs(config: Mapping[str, Any]) -> Pairs:
    """The modules of a CLIPVisionModelWithProjection, as OpenAI's `visual` names them; less what it holds joined."""
    pairs = dict(CLIP_ENDS)
    for layer in range(config["num_hidden_layers"]):
        pairs |= _below(clip_layer(layer), f"transformer.resblocks.{layer}", CLIP_LAYER)
    return pairs


def clip_layer(layer: int) -> str:
    """The path of a layer of our transformer."""
    return f"vision_model.encoder.layers.{layer}"


def _below(ours: str, theirs: str, pairs: Mapping[str, str]) -> Pairs:
    return {f"{ours}.{name}": f"{theirs}.{other}" for name, other in pairs.items()}


def _vae_resnet(ours: str, theirs: str) -> Pairs:
    names = ("norm1", "conv1", "norm2", "conv2")
    return _below(ours, theirs, {**dict(zip(names, names, strict=True)), "conv_shortcut": "nin_shortcut"})
