"""The computing device."""

import torch

from base.errors import UsageError


def torch_device(name: str) -> torch.device:
    """Return the named device, for `auto` the first accelerator or else the CPU. UsageError when it is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        # `torch.device` accepts any known kind; only an allocation shows whether it is here.
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise UsageError(f"device: expected auto, cpu or an accelerator of this machine, got {name!r}") from None
    return device
