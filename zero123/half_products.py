"""The products of a UNet in bfloat16, everything between them in float32.

Nearly all time goes into convolutions and matrix products, and nearly all error of a UNet wholly in bfloat16 comes from
rounding the sums along its residual path. Those stay in float32, as do the 1 × 1 convolutions on that path and both
ends: they take little time, and all depends on them.
"""

from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

KEPT = ("time_embedding", "time_emb_proj", "class_embedding", "conv_in", "conv_out", "conv_shortcut", "proj_out")
"""In float32: what the timestep becomes, the first and the last layer, and the narrow ones of the residual path."""
INNER = ("to_q", "to_k", "to_v", "ff.net.0")
"""Their answers stay in bfloat16, since the next product takes them so."""


def use_half_products(unet: UNet2DConditionModel) -> None:
    """Have the convolutions and linear layers of a UNet compute in bfloat16, in place."""
    for name, module in unet.named_modules():
        if not isinstance(module, nn.Conv2d | nn.Linear) or any(part in name for part in KEPT):
            continue
        module.to(torch.bfloat16)
        module.register_forward_pre_hook(_round_input)
        if not any(part in name for part in INNER):
            module.register_forward_hook(_widen_answer)


def _round_input(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    weight: Any = module.weight
    return (inputs[0].to(weight.dtype), *inputs[1:])


def _widen_answer(_: nn.Module, __: tuple[Any, ...], answer: Tensor) -> Tensor:
    return answer.float()
