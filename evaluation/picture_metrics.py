"""Metrics of a predicted view by their names in protocols.

A metric maps a pair to a number. Networks are given by folder; a metric without its network is not measured.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from evaluation.features import ClipFeatures
from evaluation.haarpsi import haarpsi
from evaluation.images.psnr import co3d_psnr_db, foreground_psnr_db, mask_iou, psnr_db
from evaluation.images.ssim import SSIM_VARIANTS, SsimName, ssim
from evaluation.images.values import to_bytes

if TYPE_CHECKING:
    from evaluation.images.lpips import Lpips, Trunk

Values = NDArray[np.floating]
Mask = NDArray[np.bool_]

WHITE = 0.98
"""A prediction without alpha shows its object where a channel is below this value."""


@dataclass(frozen=True)
class Pair:
    """A prediction and the truth: RGB on white in [0, 1], (H, W, 3), and their masks (H, W)."""

    image: Values
    true: Values
    mask: Mask
    true_mask: Mask


@dataclass(frozen=True)
class Networks:
    """Folders with weights; None where there are none: LPIPS as tensors, and a CLIP image encoder."""

    lpips: Path | None = None
    clip: Path | None = None

    @property
    def given(self) -> bool:
        """Whether any network is to be loaded."""
        return self.lpips is not None or self.clip is not None

    @cached_property
    def lpips_by_trunk(self) -> "dict[Trunk, Lpips]":
        """Load the trunks in the folder."""
        if self.lpips is None:
            return {}
        # Only now: torch takes seconds to load, and most metrics do without it.
        from evaluation.images.lpips import Lpips

        trunks: tuple[Trunk, ...] = ("alex", "vgg")
        return {trunk: Lpips.from_folder(self.lpips, trunk) for trunk in trunks}

    @cached_property
    def clip_features(self) -> ClipFeatures | None:
        """Load the CLIP image encoder on the CPU."""
        if self.clip is None:
            return None
        import torch

        from zero123.clip import ClipImages

        return ClipFeatures(ClipImages.from_folder(self.clip, torch.device("cpu")))

    def digests(self) -> dict[str, str]:
        """Return the digest of each network's weights by name."""
        found = {f"lpips/{trunk}": network.sha256 for trunk, network in self.lpips_by_trunk.items()}
        return found | ({"clip": self.clip_features.encoder.digest} if self.clip_features else {})


Metric = Callable[[Pair], float]


def picture_metrics(networks: Networks) -> dict[str, Metric]:
    """Return every metric that can be measured with these networks, by name."""
    metrics: dict[str, Metric] = {
        "psnr": lambda pair: psnr_db(pair.image, pair.true),
        "psnr/foreground": lambda pair: foreground_psnr_db(pair.image, pair.true, pair.true_mask),
        "haarpsi": lambda pair: haarpsi(to_bytes(pair.image), to_bytes(pair.true)),
        "haarpsi/edge-padded": lambda pair: haarpsi(to_bytes(pair.image), to_bytes(pair.true), edge_padded=True),
        "mask-iou": lambda pair: mask_iou(pair.mask, pair.true_mask),
        "l1": lambda pair: float(np.abs(pair.image.astype(np.float64) - pair.true).mean()),
    }
    metrics |= {f"ssim/{name}": partial(_ssim, name) for name in SSIM_VARIANTS}
    metrics |= {f"psnr/co3d-{over}": partial(_co3d, over) for over in ("masked", "foreground", "full")}
    for trunk, network in networks.lpips_by_trunk.items():
        metrics[f"lpips/{trunk}"] = partial(_lpips, network)
        metrics[f"lpips/{trunk}-unscaled"] = partial(_lpips_unscaled, network)
    if clip := networks.clip_features:
        # The encoder and HaarPSI take bytes; the difference to float values is below a level.
        metrics["clip-similarity"] = lambda pair: 1.0 - clip.distance(to_bytes(pair.image), to_bytes(pair.true))
    return metrics


def visible_on_white(values: Values) -> Mask:
    """Return where a picture without alpha shows something else than white, (H, W)."""
    return np.asarray((values < WHITE).any(axis=-1))


def _ssim(name: SsimName, pair: Pair) -> float:
    return ssim(pair.image, pair.true, name)


def _co3d(over: str, pair: Pair) -> float:
    return co3d_psnr_db(pair.image, pair.true, pair.true_mask, over=over)


def _lpips(network: "Lpips", pair: Pair) -> float:
    return network.distance(pair.image, pair.true)


def _lpips_unscaled(network: "Lpips", pair: Pair) -> float:
    return network.distance(pair.image, pair.true, scaled=False)
