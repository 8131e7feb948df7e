"""How the device computes: precision, memory layout, compilation."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch.backends import cudnn

from train.settings import ComputeSettings
from zero123.attention import use_small_attention
from zero123.pipeline import Zero123Pipeline


def prepare_unet(pipeline: Zero123Pipeline, settings: ComputeSettings) -> None:
    """Apply attention, memory layout, gradient checkpointing and compilation to the UNet, with the same weights."""
    if pipeline.device.type == "cpu":
        use_small_attention(pipeline.unet)
    if settings.channels_last:
        pipeline.unet.to(memory_format=torch.channels_last)
    if settings.gradient_checkpointing:
        pipeline.unet.enable_gradient_checkpointing()
    # In place: a wrapper would change the names of the parameters, and checkpoints depend on them.
    if settings.compile:
        pipeline.unet.compile()


def precision_on(device: torch.device, settings: ComputeSettings) -> str:
    """Return the precision of products: that of the settings, and for `auto` bf16 if the device computes in it."""
    if settings.precision != "auto":
        return settings.precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device.type != "cpu":
        return "fp32"
    # Without these instructions bfloat16 is emulated, several times slower than float32.
    found = torch.cpu.get_capabilities()
    return "bf16" if found.get("avx512_bf16") or found.get("amx_bf16") else "fp32"


def autocast(device: torch.device, settings: ComputeSettings) -> AbstractContextManager[object]:
    """Make the context of the forward pass, with products in bfloat16 if the settings say so."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision_on(device, settings) == "bf16")


@contextmanager
def set_compute_mode(settings: ComputeSettings, device: torch.device, threads: int) -> Iterator[None]:
    """Set the process's CPU threads and the precision of GPU products for the block, and restore them afterwards."""
    before, products = torch.get_num_threads(), torch.get_float32_matmul_precision()
    convolutions = cudnn.allow_tf32, cudnn.benchmark
    torch.set_num_threads(threads or before)
    if device.type == "cuda":
        exact = precision_on(device, settings) == "fp32"
        torch.set_float32_matmul_precision("highest" if exact else "high")
        # Convolutions have their own switch for float32, and torch leaves it at TF32.
        cudnn.allow_tf32, cudnn.benchmark = not exact, True
    try:
        yield
    finally:
        torch.set_num_threads(before)
        torch.set_float32_matmul_precision(products)
        # Restored for tests and notebooks, where other work follows in the process.
        cudnn.allow_tf32, cudnn.benchmark = convolutions
