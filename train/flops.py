"""Count the operations for an image and look up a device's peak, for the model FLOPs utilisation (MFU)."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from zero123.conditioning import Conditioning
from zero123.pipeline import Zero123Pipeline

BACKWARD = 2
"""The backward pass computes each product twice: for the inputs and for the weights."""

PEAKS = {
    "H200": 989e12, "H100": 989e12, "GH200": 989e12, "H20": 148e12, "B200": 2250e12, "A100": 312e12, "A10G": 70e12,
    "A10": 125e12, "L40S": 362e12, "L40": 181e12, "L4": 121e12, "A6000": 155e12, "4090": 165e12, "3090": 71e12,
}  # fmt: skip
"""Dense bfloat16 operations per second as stated by the makers, by a word of the device's name."""


@torch.no_grad()
def training_flops(pipeline: Zero123Pipeline) -> float:
    """Count the UNet's floating-point operations for an image, forward and backward. A multiply-add counts as 2.

    Encoders are not counted: MFU is the share of the peak in the trained part, as if its inputs were free.
    """
    device, width = pipeline.device, int(pipeline.unet.config.cross_attention_dim)
    latents = torch.zeros(1, *pipeline.latent_shape, device=device)
    conditioning = Conditioning(torch.zeros(1, 1, width, device=device), latents)
    # By counting instead of a formula: UNets of other widths and with a single context token are measured as they are.
    with FlopCounterMode(display=False) as counter:
        pipeline.predict(latents, torch.zeros(1, dtype=torch.long, device=device), conditioning)
    return float(counter.get_total_flops() * (1 + BACKWARD))


def peak_flops(device: torch.device) -> float | None:
    """Return the nominal dense bfloat16 peak of a GPU in operations per second, or None for other devices."""
    if device.type != "cuda":
        return None
    # Whole words: `L4` is also the beginning of `L40S`.
    words = torch.cuda.get_device_name(device).replace("-", " ").split()
    return next((PEAKS[word] for word in words if word in PEAKS), None)
