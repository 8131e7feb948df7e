"""How the device computes while it samples: precision, memory layout, compilation, offloading, tiles, and the batch."""

import os
from pathlib import Path

import torch
from torch import nn

from base.errors import UsageError
from zero123.device import torch_device
from zero123.half_products import use_half_products
from zero123.latents import Autoencoder
from zero123.model import Zero123Model
from zero123.settings import SampleComputeSettings

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
FREE_SHARE = 0.5
"""The share of free memory for a batch: the estimate is rough, and others use the machine as well."""
UNET_COPIES, DECODER_COPIES = 64, 8
"""How many feature maps of the first level's size are in memory at a time: rough upper bounds."""
MOST_ON_CPU, MOST_ON_ACCELERATOR = 8, 64
"""Larger batches gain nothing more."""


def prepare_for_sampling(model: Zero123Model, compute: SampleComputeSettings, device: str) -> None:
    """Arrange the networks in place as the settings say, on the device called `device`.

    Raises UsageError for settings beyond the device.
    """
    _check(compute, torch_device(device))
    dtype = DTYPES[compute.precision]
    # Eight bits of a pixel need more than bf16's eight: the autoencoder alone would cost 41 dB, for little time gained.
    around = torch.float32 if dtype == torch.bfloat16 else dtype
    # On a CPU only the products are faster in bf16. The copies between types would cost an accelerator more.
    only_products = dtype == torch.bfloat16 and torch_device(device).type == "cpu"
    unet = torch.float32 if only_products else dtype
    for module, wanted in ((model.unet, unet), (model.vae, around), (model.image_encoder, around)):
        if module.dtype != wanted:
            nn.Module.to(module, wanted)  # diffusers' own `to` warns of parts absent from these networks
    if only_products:
        use_half_products(model.unet)
    if 0 < compute.tile_px < max(model.hw):  # a larger tile is the whole picture
        _use_tiles(model.vae, compute.tile_px)
    # After the types: the copies in main memory are then smaller too.
    if compute.offload:
        model.offload(device)
    else:
        model.to(device)
    if compute.channels_last:
        for module in (model.unet, model.vae):
            module.to(memory_format=torch.channels_last)
    if compute.compile != "no":
        model.unet.compile(mode="reduce-overhead" if compute.compile == "cuda_graphs" else None)


def batch_size(model: Zero123Model, views_at_once: int, *, guided: bool) -> int:
    """How many views to sample together: `views_at_once`, or, where it is 0, as many as fit into free memory."""
    if views_at_once:
        return views_at_once
    fitting = int(FREE_SHARE * free_bytes(model.device)) // view_bytes(model, guided=guided)
    most = MOST_ON_CPU if model.device.type == "cpu" else MOST_ON_ACCELERATOR
    return max(1, min(fitting, most))


def view_bytes(model: Zero123Model, *, guided: bool) -> int:
    """Return a rough upper bound of the memory for another view in a batch, without the networks' weights."""
    _, height, width = model.latent_shape
    # Guidance runs both halves in the same batch.
    rows = 2 if guided else 1
    unet = rows * height * width * model.unet.config.block_out_channels[0] * model.unet.dtype.itemsize * UNET_COPIES
    widest = max(model.vae.config.block_out_channels[:1])
    decoder = model.hw[0] * model.hw[1] * widest * model.vae.dtype.itemsize * DECODER_COPIES
    return int(max(unet, decoder))


def free_bytes(device: torch.device) -> int:
    """Free memory of an accelerator, or of this machine or container for the CPU."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return _free_on_host()


def _free_on_host() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines() if Path("/proc/meminfo").is_file() else []
    available = [int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")]
    # Without Linux's estimate, half of all memory.
    free = available[0] if available else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    limit, used = (Path("/sys/fs/cgroup") / name for name in ("memory.max", "memory.current"))
    # A container's limit; the file says `max` without a limit.
    if limit.is_file() and used.is_file() and limit.read_text().strip().isdigit():
        free = min(free, int(limit.read_text()) - int(used.read_text()))
    return max(free, 0)


def _check(compute: SampleComputeSettings, device: torch.device) -> None:
    for what, wanted in (("channels_last", compute.channels_last), ("offload", compute.offload)):
        if wanted and device.type == "cpu":
            raise UsageError(f"sample.compute.{what}: expected an accelerator, got {device.type}")
    if compute.precision == "fp16" and device.type == "cpu":
        raise UsageError("sample.compute.precision: expected fp32 or bf16 on a CPU, got fp16")
    if compute.compile == "cuda_graphs" and device.type != "cuda":
        raise UsageError(f"sample.compute.compile: expected a CUDA device for cuda_graphs, got {device.type}")
    if compute.compile != "no" and compute.offload:
        raise UsageError("sample.compute: expected compile no with offload, which moves the compiled weights")


def _use_tiles(vae: Autoencoder, tile_px: int) -> None:
    vae.enable_tiling()
    # Set on the module itself: diffusers has no argument for it.
    vae.tile_sample_min_size, vae.tile_latent_min_size = tile_px, tile_px // 8
