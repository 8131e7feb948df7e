"""The segmentation networks with a name: rembg's names, files and ways of normalising."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

RELEASE = "https://github.com/danielgatis/rembg/releases/download/v0.0.0/"
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Normalisation:
    """How pixels become the network's input, and its answer a mask.

    Pixels are divided by 255, or by the picture's own `maximum`; then (x − mean) / std. The answer is a `logit`, or a
    probability, and is stretched to [0, 1] where `stretch` says so, as rembg does.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    divide_by_maximum: bool = False
    logit: bool = False
    stretch: bool = True

    def apply(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 (H, W, 3) as the network takes it, float32."""
        # A black picture has the maximum 0.
        largest = max(int(rgb.max()), 1) if self.divide_by_maximum else 255
        return ((rgb / largest - self.mean) / self.std).astype(np.float32)

    def mask(self, answer: NDArray[np.float32]) -> NDArray[np.float32]:
        """The network's answer (H, W) as a mask in [0, 1]. A flat answer is not stretched."""
        found = 1.0 / (1.0 + np.exp(-answer.astype(np.float64))) if self.logit else answer.astype(np.float64)
        low, high = float(found.min()), float(found.max())
        # Stretching an answer without any likely pixel would turn noise into an object.
        if self.stretch and high > low and high > 0.5:
            found = (found - low) / (high - low)
        return np.clip(found, 0.0, 1.0).astype(np.float32)


@dataclass(frozen=True)
class Network:
    """A network to fetch: its file, the SHA-256 of it, its size for people, and its licence."""

    file: str
    sha256: str
    megabytes: int
    licence: str
    normalisation: Normalisation

    @property
    def url(self) -> str:
        """Where the file is."""
        return RELEASE + self.file


U2NET = Normalisation(IMAGENET_MEAN, IMAGENET_STD, divide_by_maximum=True)
ISNET = Normalisation((0.5, 0.5, 0.5), (1.0, 1.0, 1.0), divide_by_maximum=True)
ANIME = Normalisation(IMAGENET_MEAN, (1.0, 1.0, 1.0), divide_by_maximum=True)
BIREFNET = Normalisation(IMAGENET_MEAN, IMAGENET_STD, divide_by_maximum=True, logit=True)

NETWORKS = {
    "isnet-general-use": Network(
        "isnet-general-use.onnx",
        "60920e99c45464f2ba57bee2ad08c919a52bbf852739e96947fbb4358c0d964a",
        179,
        "Apache-2.0",
        ISNET,
    ),
    "isnet-anime": Network(
        "isnet-anime.onnx",
        "f15622d853e8260172812b657053460e20806f04b9e05147d49af7bed31a6e99",
        176,
        "Apache-2.0",
        ANIME,
    ),
    "u2net": Network(
        "u2net.onnx", "8d10d2f3bb75ae3b6d527c77944fc5e7dcd94b29809d47a739a7a728a912b491", 176, "Apache-2.0", U2NET
    ),
    "u2netp": Network(
        "u2netp.onnx", "309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8", 5, "Apache-2.0", U2NET
    ),
    "u2net_human_seg": Network(
        "u2net_human_seg.onnx",
        "01eb6a29a5c4d8edb30b56adad9bb3a2a0535338e480724a213e0acfd2d1c73c",
        176,
        "Apache-2.0",
        U2NET,
    ),
    "silueta": Network(
        "silueta.onnx", "75da6c8d2f8096ec743d071951be73b4a8bc7b3e51d9a6625d63644f90ffeedb", 44, "Apache-2.0", U2NET
    ),
    "birefnet-general": Network(
        "BiRefNet-general-epoch_244.onnx",
        "58f621f00f5d756097615970a88a791584600dcf7c45b18a0a6267535a1ebd3c",
        973,
        "MIT",
        BIREFNET,
    ),
    "birefnet-general-lite": Network(
        "BiRefNet-general-bb_swin_v1_tiny-epoch_232.onnx",
        "5600024376f572a557870a5eb0afb1e5961636bef4e1e22132025467d0f03333",
        224,
        "MIT",
        BIREFNET,
    ),
    "birefnet-portrait": Network(
        "BiRefNet-portrait-epoch_150.onnx",
        "1ba1c8ff5a7bbfadc8d8d13fb11d7be793f91f23d9d466549e37a854f6668f99",
        973,
        "MIT",
        BIREFNET,
    ),
}

FAMILIES: tuple[tuple[Literal["birefnet", "u2net", "anime", "isnet"], Normalisation], ...] = (
    ("birefnet", BIREFNET),
    ("u2net", U2NET),
    ("anime", ANIME),
    ("isnet", ISNET),
)


def normalisation_of(file_name: str) -> Normalisation:
    """Return the input format of a user's network, by parts of its file name; ISNet's way for any other name."""
    lowered = file_name.lower().replace("-", "").replace("_", "")
    return next((normalisation for family, normalisation in FAMILIES if family in lowered), ISNET)
