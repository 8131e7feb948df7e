"""The cut-out by a segmentation network in ONNX: ISNet, U²-Net, BiRefNet and networks of their kind."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from base.errors import UsageError
from photo.networks import NETWORKS, Normalisation, normalisation_of
from photo.onnx import onnx_session
from photo.regions import large_pieces
from photo.settings import PhotoSettings
from photo.weights import weights_file

Mask = NDArray[np.float32]
USUAL_SIDE_PX = 1024
SPECK, PIECE = 200.0, 0.05
"""Specks are smaller than the side over this; pieces below this part of the largest are left out."""


def cut_by_network(rgb: NDArray[np.uint8], settings: PhotoSettings) -> tuple[Mask, str]:
    """The mask (H, W) of the object in an opaque picture (H, W, 3), and the network's name.

    `settings.cut_out` is a name in `NETWORKS` or the path of an ONNX file. Raises UsageError for any other name and for
    a file of another kind, Failure without onnxruntime or the weights.
    """
    path, normalisation, name = find_network(settings)
    return _mask(path, normalisation, rgb), name


def find_network(settings: PhotoSettings) -> tuple[Path, Normalisation, str]:
    """Return the weights, fetched if need be, the normalisation and the name of the network for the cut-out."""
    name = settings.cut_out
    if name in NETWORKS:
        path = weights_file(NETWORKS[name], Path(settings.weights).expanduser(), settings.limits.weights_megabytes)
        return path, NETWORKS[name].normalisation, name
    path = Path(name).expanduser()
    if path.suffix != ".onnx" or not path.is_file():
        known = ", ".join(["auto", "alpha", "border", *NETWORKS])
        raise UsageError(f"photo.cut_out: expected any of {known}, or an .onnx file that exists, got {name!r}")
    return path, normalisation_of(path.name), path.name


def _mask(path: Path, normalisation: Normalisation, rgb: NDArray[np.uint8]) -> Mask:
    session = onnx_session(path)
    take = session.get_inputs()[0]
    if len(take.shape) != 4 or (take.shape[1] not in (3, None) and not isinstance(take.shape[1], str)):
        raise UsageError(f"{path}: expected a network with input (1, 3, H, W), got input {take.shape}")
    # Networks with a free input size name their sides instead of numbering them.
    height, width = (side if isinstance(side, int) else USUAL_SIDE_PX for side in take.shape[2:])
    picture = Image.fromarray(rgb).resize((width, height), Image.Resampling.LANCZOS)
    told = normalisation.apply(np.asarray(picture)).transpose(2, 0, 1)[None]
    # Networks with side outputs give the finest mask first.
    answer = session.run([session.get_outputs()[0].name], {take.name: told})[0]
    found = np.asarray(answer, np.float32).squeeze()
    if found.ndim != 2 or not np.isfinite(found).all():
        raise UsageError(f"{path}: expected a network with a single mask as output, got shape {np.shape(answer)}")
    levels = Image.fromarray(without_specks(normalisation.mask(found))).resize(
        (rgb.shape[1], rgb.shape[0]), Image.Resampling.BICUBIC
    )
    return np.clip(np.asarray(levels), 0.0, 1.0)


def without_specks(mask: Mask) -> Mask:
    """The mask less what is apart from its large pieces: quantised networks answer small photos with specks."""
    smooth = ndimage.gaussian_filter(mask, max(mask.shape) / SPECK)
    kept = ndimage.binary_dilation(large_pieces(smooth > 0.5, PIECE), iterations=2)
    return np.where(kept, mask, 0.0).astype(np.float32)
