"""Keep latents in memory. A frozen, deterministic encoder gives the same latents for a view every time."""

from collections import OrderedDict
from collections.abc import Hashable, Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from zero123.latents import Autoencoder, composited, target_latent

CHUNK = 8
"""Views are encoded in padded chunks of this size, because a view's rounding can depend on the size of its chunk."""


class LatentMemo:
    """Keeps target latents by view, in at most `limit_bytes` of memory. The least recently used are removed.

    A memo belongs to an encoder. Removed latents are computed again, bit for bit.
    """

    def __init__(self, vae: Autoencoder, limit_bytes: int) -> None:
        self.vae, self.limit_bytes = vae, limit_bytes
        self.bytes = 0
        self._kept: OrderedDict[Hashable, Tensor] = OrderedDict()

    def latents(self, keys: Sequence[Hashable], rgba: UInt8[Tensor, "N H W 4"]) -> Float[Tensor, "N C h w"]:
        """Return the latents of views on white, each named by its key."""
        found = {key: self._kept[key] for key in keys if key in self._kept}
        for key in found:
            self._kept.move_to_end(key)
        # By key, so a view that appears twice in a batch is encoded once.
        missing = {key: row for row, key in enumerate(keys) if key not in found}
        found |= zip(missing, self._encoded(rgba[list(missing.values())]), strict=True)
        for key in missing:
            self._keep(key, found[key])
        return torch.stack([found[key] for key in keys])

    def _keep(self, key: Hashable, latents: Tensor) -> None:
        self._kept[key] = latents
        self.bytes += latents.nbytes
        # After the addition: a batch larger than the limit still works, and just keeps little.
        while self.bytes > self.limit_bytes:
            _, forgotten = self._kept.popitem(last=False)
            self.bytes -= forgotten.nbytes

    @torch.no_grad()
    def _encoded(self, rgba: Tensor) -> list[Tensor]:
        latents: list[Tensor] = []
        for start in range(0, len(rgba), CHUNK):
            chunk = rgba[start : start + CHUNK]
            padded = torch.cat([chunk, chunk[-1:].expand(CHUNK - len(chunk), -1, -1, -1)])
            encoded = target_latent(self.vae, composited(padded)).float()
            # A slice would keep the memory of its whole chunk.
            latents += [row.clone() for row in encoded[: len(chunk)]]
        return latents
