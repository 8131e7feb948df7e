"""A frozen CLIP image encoder from a user's folder: a picture as a vector."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate, normalize
from transformers import CLIPVisionModelWithProjection

from zero123.encoders import weights_digest
from zero123.image_encoder import CLIP_MEAN, CLIP_STD
from zero123.tensors import build_without_memory, fill, read_json, weights_in

IMAGE_HALF = ("vision_model.", "visual_projection.")
COUNTED = "position_ids"
"""What older files hold, and is no weight."""


class ClipImages:
    """CLIP's image half on one device: `digest` is of its weights (see `weights_digest`), `side_px` of its input."""

    def __init__(self, model: CLIPVisionModelWithProjection, device: torch.device) -> None:
        self.digest = weights_digest(model)
        self.parameters = sum(parameter.numel() for parameter in model.parameters())
        self.side_px = int(model.config.image_size)
        self._model = model.float().eval().requires_grad_(requires_grad=False).to(device)

    @classmethod
    def from_folder(cls, folder: Path, device: torch.device) -> "ClipImages":
        """The encoder in a folder of transformers' layout, of a whole CLIP or of its image half alone, in safetensors.

        Raises Failure naming the file for weights in any other form, for what is no CLIP, and for missing, unknown or
        misshapen tensors. Nothing is fetched.
        """
        config, weights = read_json(folder / "config.json"), weights_in(folder)
        whole = config.get("vision_config")
        if isinstance(whole, dict):
            # A whole CLIP states the width of the projection beside its two halves; 512 is transformers' default.
            config = {**whole, "projection_dim": config.get("projection_dim", 512)}
        model = build_without_memory(CLIPVisionModelWithProjection, config, folder)
        tensors = {name: tensor for name, tensor in weights.tensors().items() if not name.endswith(COUNTED)}
        if whole:
            tensors = {name: tensor for name, tensor in tensors.items() if name.startswith(IMAGE_HALF)}
        fill(model, tensors, where=str(weights.where))
        return cls(model, device)

    @torch.no_grad()
    def vector(self, image: NDArray[np.uint8]) -> NDArray[np.float64]:
        """The embedding (E,) of a uint8 RGB picture (H, W, 3), of length 1."""
        pixels = torch.tensor(image, device=self._model.device).movedim(-1, 0)[None].float() / 255.0
        return np.asarray(self.embed(pixels)[0].cpu().numpy())

    def embed(self, images: Tensor) -> Tensor:
        """The embeddings (N, E) of pictures (N, 3, H, W) in [0, 1], of length 1, in float64; differentiable.

        Pictures are scaled to the encoder's square as CLIP's own were: bicubic, antialiased.
        """
        # Bicubic overshoots at edges, hence the clamp.
        square = interpolate(images, (self.side_px, self.side_px), mode="bicubic", antialias=True).clamp(0.0, 1.0)
        mean, std = (torch.tensor(one, device=images.device)[:, None, None] for one in (CLIP_MEAN, CLIP_STD))
        found = self._model(pixel_values=(square - mean) / std).image_embeds
        # In float64, so that the cosine of a picture with itself is 1.
        return normalize(found.double(), dim=1)

    @property
    def device(self) -> torch.device:
        """The computing device."""
        return torch.device(self._model.device)
