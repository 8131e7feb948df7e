"""Latents computed once: a frozen encoder without chance gives the same latents for a view every time."""

from collections import OrderedDict
from collections.abc import Hashable, Sequence

import numpy as np
import torch
from torch import Tensor

from zero123.latents import Autoencoder, composited, target_latent

CHUNK = 8
"""Views are encoded this many at a time, the last chunk padded: a view's rounding must not depend on its company."""


class LatentMemo:
    """Target latents of views by key, in at most `limit_bytes` of memory; the least recently used are forgotten.

    A memo belongs to one encoder. What it forgets is computed again, to the same bits.
    """

    def __init__(self, vae: Autoencoder, limit_bytes: int) -> None:
        self.vae, self.limit_bytes = vae, limit_bytes
        self.bytes = 0
        self._kept: OrderedDict[Hashable, Tensor] = OrderedDict()

    def latents(self, keys: Sequence[Hashable], rgba: Sequence[np.ndarray]) -> Tensor:
        """The latents (N, 4, h, w) of uint8 RGBA views (H, W, 4), on white, each named by its key."""
        found = {key: self._kept[key] for key in keys if key in self._kept}
        for key in found:
            self._kept.move_to_end(key)
        missing = {key: image for key, image in zip(keys, rgba, strict=True) if key not in found}
        found |= zip(missing, self._encoded(list(missing.values())), strict=True)
        for key in missing:
            self._keep(key, found[key])
        return torch.stack([found[key] for key in keys])

    def _keep(self, key: Hashable, latents: Tensor) -> None:
        self._kept[key] = latents
        self.bytes += latents.nbytes
        while self.bytes > self.limit_bytes:
            _, forgotten = self._kept.popitem(last=False)
            self.bytes -= forgotten.nbytes

    @torch.no_grad()
    def _encoded(self, images: list[np.ndarray]) -> list[Tensor]:
        device = next(self.vae.parameters()).device
        latents: list[Tensor] = []
        for start in range(0, len(images), CHUNK):
            chunk = images[start : start + CHUNK]
            padded = np.stack(chunk + [chunk[-1]] * (CHUNK - len(chunk)))
            encoded = target_latent(self.vae, composited(torch.from_numpy(padded).to(device)))
            latents += [row.clone() for row in encoded[: len(chunk)]]
        return latents
