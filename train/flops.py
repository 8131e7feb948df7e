"""How much arithmetic an image costs, and how much a device can do: their ratio is the model's use of it (MFU)."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from zero123.conditioning import Conditioning
from zero123.pipeline import Zero123Pipeline

BACKWARD = 2
"""A backward pass takes every product twice, once for the inputs and once for the weights."""

PEAKS = {
    "H200": 989e12, "H100": 989e12, "GH200": 989e12, "H20": 148e12, "B200": 2250e12, "A100": 312e12, "A10G": 70e12,
    "A10": 125e12, "L40S": 362e12, "L40": 181e12, "L4": 121e12, "A6000": 155e12, "4090": 165e12, "3090": 71e12,
}  # fmt: skip
"""Dense bfloat16 products a second as the makers state them, by what stands in the device's name."""


@torch.no_grad()
def training_flops(pipeline: Zero123Pipeline) -> float:
    """Floating-point operations of the UNet for one image, forward and backward; 2 for a multiplication and addition.

    Encoders are not counted: MFU is the share of the peak that went into what learns, as if its inputs were free.
    """
    device, width = pipeline.device, int(pipeline.unet.config.cross_attention_dim)
    latents = torch.zeros(1, *pipeline.latent_shape, device=device)
    conditioning = Conditioning(torch.zeros(1, 1, width, device=device), latents)
    with FlopCounterMode(display=False) as counter:
        pipeline.predict(latents, torch.zeros(1, dtype=torch.long, device=device), conditioning)
    return float(counter.get_total_flops() * (1 + BACKWARD))


def peak_flops(device: torch.device) -> float | None:
    """The nominal dense bfloat16 peak of a GPU in operations a second; None for what is not in the table."""
    if device.type != "cuda":
        return None
    words = torch.cuda.get_device_name(device).replace("-", " ").split()
    return next((PEAKS[word] for word in words if word in PEAKS), None)
