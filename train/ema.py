"""The exponential moving average (EMA) of the weights, for sampling."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def ema_decay(limit: float, steps: int) -> float:
    """Return the decay after n = `steps` steps: min(limit, (1 + n) / (10 + n)). Early averages forget fast."""
    return min(limit, (1 + steps) / (10 + steps))


class Ema:
    """Averages of named parameters. Sampling uses other parameters as trained."""

    def __init__(self, parameters: Mapping[str, nn.Parameter], limit: float) -> None:
        self.parameters, self.limit = dict(parameters), limit
        self.averages = {name: parameter.detach().clone() for name, parameter in parameters.items()}

    @torch.no_grad()
    def update(self, steps: int) -> None:
        """Set average ← d · average + (1 − d) · weights, after step number `steps` (from 1)."""
        weight = 1.0 - ema_decay(self.limit, steps)
        # All parameters in a few kernels instead of a launch each.
        torch._foreach_lerp_(list(self.averages.values()), list(self.parameters.values()), weight)

    @contextmanager
    def apply_averages(self) -> Iterator[None]:
        """Use the averages as weights in the block, and restore the weights afterwards."""
        # Copied back and forth instead of exchanged: the optimiser refers to the tensors themselves.
        weights = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}
        self._set(self.averages)
        try:
            yield
        finally:
            self._set(weights)

    @torch.no_grad()
    def _set(self, values: Mapping[str, Tensor]) -> None:
        for name, parameter in self.parameters.items():
            parameter.copy_(values[name])
