"""Which parameters of a model are trained: those of the trained parts, or only the adapters on the UNet."""

from torch import nn

from zero123.attention import find_idle_parameters
from zero123.model import Zero123Model, trained_parts

ADAPTER_PARTS = (".lora_A.", ".lora_B.")
"""What peft calls the two matrices of an adapter."""


def trained_parameters(model: Zero123Model) -> dict[str, nn.Parameter]:
    """Name the trained parameters: all of the trained parts, or of the UNet only its adapters if it has any.

    Parameters without influence with a single context token are left out.
    """
    idle = {f"unet.{name}" for name in find_idle_parameters(model.unet) if model.context_tokens == "one"}
    adapted = has_adapters(model.unet)
    return {
        name: parameter
        for part, module in trained_parts(model).items()
        for name, parameter in ((f"{part}.{key}", value) for key, value in module.named_parameters())
        if name not in idle and (part != "unet" or not adapted or is_adapter(name))
    }


def has_adapters(unet: nn.Module) -> bool:
    """Whether a UNet has adapters."""
    return any(is_adapter(name) for name, _ in unet.named_parameters())


def is_adapter(name: str) -> bool:
    """Whether a parameter of this name is part of an adapter."""
    return any(part in name for part in ADAPTER_PARTS)
