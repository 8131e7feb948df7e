"""Count the memory of training on one GPU from its parts, without a GPU.

python -m bench.memory [--preset NAME …] [--set KEY=VALUE …] [--json FILE]

Networks are laid out without memory, on torch's `meta` device. Frozen and trained weights are float32, as are
gradients, AdamW's two moments and the averages. Activations are what the UNet keeps of `train.images_at_once` images
for its backward pass, each storage once, in float32: an upper bound, since `bf16` halves most of them and gradient
checkpointing keeps few. The allocator's waste and the CUDA context are not counted.
"""

import argparse
import json
from pathlib import Path

import torch
from diffusers import DDIMScheduler
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from app.settings import Settings, load_settings
from base.versions import versions
from evaluation.table import markdown_table
from zero123.conditioning import Conditioning
from zero123.lora import add_adapters
from zero123.model import Zero123Model
from zero123.modules import new_image_encoder, new_sd_vae, new_unet
from zero123.projection import CCProjection
from zero123.schedule import scheduler_config
from zero123.taesd import load_taesd
from zero123.trained import trained_parameters

FLOAT32, GB = 4, 1e9


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", action="append", default=[], metavar="NAME", help="default: paper")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    parts = count_bytes(load_settings(None, options.preset or ["paper"], options.set))
    rows = [[name, f"{value / GB:.2f}"] for name, value in (*parts.items(), ("all", sum(parts.values())))]
    print(markdown_table(["part", "GB"], rows))
    if options.json:
        options.json.write_text(json.dumps({"bytes": parts, "versions": versions()}, indent=2) + "\n")
    return 0


def count_bytes(settings: Settings) -> dict[str, int]:
    """Count the bytes of each part of a run."""
    model, train = model_without_memory(settings), settings.train
    if train.lora:
        add_adapters(model, train.lora.rank, train.lora.alpha, train.lora.targets, train.seed)
    whole = sum(parameter.numel() for module in model.modules().values() for parameter in module.parameters())
    trained = sum(parameter.numel() for parameter in trained_parameters(model).values())
    return {
        "frozen weights": FLOAT32 * (whole - trained),
        "trained weights": FLOAT32 * trained,
        "gradients": FLOAT32 * trained,
        "AdamW's moments": 2 * FLOAT32 * trained,
        "averages": FLOAT32 * trained,
        f"activations of {train.images_at_once} images": kept_activations(model, train.images_at_once),
    }


def model_without_memory(settings: Settings) -> Zero123Model:
    """Lay out the model that the settings describe on the `meta` device."""
    described = settings.model
    config = scheduler_config(
        prediction=described.prediction,
        zero_terminal_snr=described.zero_terminal_snr,
        spacing=described.timestep_spacing,
    )
    with torch.device("meta"):
        unet, image_encoder = new_unet(described), new_image_encoder(described)
        vae = load_taesd() if described.autoencoder == "taesd" else new_sd_vae()
        projection = CCProjection(described.image_encoder.embedding, 4, described.unet.context)
    # The schedule's numbers are needed: it is made outside.
    return Zero123Model(
        unet=unet,
        vae=vae,
        image_encoder=image_encoder,
        cc_projection=projection,
        scheduler=DDIMScheduler(**config),
        hw=described.hw,
        pose_slot4=described.pose_slot4,
        context_tokens=described.image_encoder.tokens,
    )


def kept_activations(model: Zero123Model, images: int) -> int:
    """Count the bytes that a forward pass of the UNet keeps for the backward pass, beside weights."""
    for parameter in trained_parameters(model).values():
        # Without a trained parameter, autograd would keep nothing.
        parameter.requires_grad = True
    weights = {_storage(tensor) for module in model.modules().values() for tensor in module.parameters()}
    kept: dict[int, int] = {}
    alive = []

    def keep(tensor: Tensor) -> Tensor:
        # Weights are saved for the backward pass too, but are counted elsewhere.
        if _storage(tensor) not in weights:
            kept[_storage(tensor)] = tensor.untyped_storage().nbytes()
            alive.append(tensor)  # else its number would be given to the next storage
        return tensor

    latents = torch.zeros(images, *model.latent_shape, device="meta")
    context = torch.zeros(images, 1, int(model.unet.config.cross_attention_dim), device="meta")
    timesteps = torch.zeros(images, dtype=torch.long, device="meta")
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        model.predict(latents, timesteps, Conditioning(context, latents))
    return sum(kept.values())


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


if __name__ == "__main__":
    raise SystemExit(main())
