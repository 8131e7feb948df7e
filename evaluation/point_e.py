"""Meshes of Point-E's clouds by its network for signed distances (Nichol et al., arXiv 2212.08751, §4.5).

A transformer reads the points of a cloud; queries attend to its answer, and a linear layer gives each query's signed
distance d. The surface is d = 0 by marching cubes over 128³ samples of a cube of edge 1.02, as in the paper's
evaluation (`marching_cubes_mesh` of the point-e package, its model `sdf`). The network has no positional encoding, so
neither the order nor the number of points is fixed.

n points, m queries, w the width. Blocks are pre-normalised: x + attention(norm(x)), then x + MLP(norm(x)).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.measure import marching_cubes
from torch import Tensor
from torch.nn.functional import gelu, layer_norm, linear, scaled_dot_product_attention

from base.digest import sha256_file
from base.errors import Failure
from evaluation.shapes.triangles import Triangles
from zero123.layouts.ldm import read_state
from zero123.tensors import check_finite, check_shapes, shapes_of

Floats = NDArray[np.float64]

HEADS = 4
"""Of both halves; no tensor's shape tells it."""
GRID_SIZE, EDGE = 128, 1.02
QUERIES = 4096
"""Queries at a time, which bounds the memory."""
MAX_POINTS = 16_384
"""The published clouds have 4,096."""
ENCODER, DECODER = "encoder.resblocks", "decoder.resblocks"


@dataclass(frozen=True)
class PointESdf:
    """The network's tensors by the names of the published checkpoint; `sha256` is that of its file."""

    tensors: Mapping[str, Tensor]
    sha256: str = ""

    @classmethod
    def from_file(cls, path: Path, device: torch.device) -> "PointESdf":
        """Read a checkpoint, `.pt` or `.safetensors`, as tensors alone. Raises Failure for any other tensors."""
        tensors = read_state(path)
        found = tensors.get("encoder_input_proj.weight")
        if found is None or found.ndim != 2 or found.shape[0] % HEADS:
            raise Failure(f"{path}: expected the tensors of Point-E's model sdf, got others")
        layers = tuple(_count(tensors, blocks) for blocks in (ENCODER, DECODER))
        check_shapes(sdf_shapes(found.shape[0], *layers), shapes_of(tensors), where=str(path))
        check_finite(tensors, where=str(path))
        return cls({name: tensor.float().to(device) for name, tensor in tensors.items()}, sha256_file(path))

    @property
    def device(self) -> torch.device:
        """Return the device of the tensors."""
        return self.tensors["output_proj.weight"].device

    @torch.no_grad()
    def encode(self, points: Tensor) -> Tensor:
        """Return the latents (n, w) of points (n, 3)."""
        x = self._linear("encoder_input_proj", points)
        for index in range(_count(self.tensors, ENCODER)):
            block = f"{ENCODER}.{index}"
            x = x + self._attend(block, *self._split(f"{block}.attn.c_qkv", self._norm(f"{block}.ln_1", x), 3))
            x = x + self._mlp(f"{block}.mlp", self._norm(f"{block}.ln_2", x))
        return x

    @torch.no_grad()
    def distances(self, queries: Tensor, latents: Tensor) -> Tensor:
        """Return the signed distances (m,) at queries (m, 3)."""
        x = self._linear("decoder_input_proj", queries)
        for index in range(_count(self.tensors, DECODER)):
            block = f"{DECODER}.{index}"
            (query,) = self._split(f"{block}.attn.c_q", self._norm(f"{block}.ln_1", x), 1)
            key, value = self._split(f"{block}.attn.c_kv", self._norm(f"{block}.ln_2", latents), 2)
            x = x + self._attend(block, query, key, value)
            x = x + self._mlp(f"{block}.mlp", self._norm(f"{block}.ln_3", x))
        return self._linear("output_proj", self._norm("ln_post", x))[:, 0]

    def _attend(self, block: str, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """softmax(q kᵀ / √c) v for each head of c channels, then the output layer."""
        mixed = scaled_dot_product_attention(query, key, value)
        return self._linear(f"{block}.attn.c_proj", mixed.transpose(0, 1).flatten(1))

    def _split(self, name: str, x: Tensor, parts: int) -> tuple[Tensor, ...]:
        """Project (n, w), and return `parts` tensors (HEADS, n, c)."""
        # The parts alternate within each head: a head's channels are its query, key and value in a row.
        wide = self._linear(name, x).view(len(x), HEADS, parts, -1)
        return tuple(wide[:, :, part].transpose(0, 1) for part in range(parts))

    def _mlp(self, name: str, x: Tensor) -> Tensor:
        return self._linear(f"{name}.c_proj", gelu(self._linear(f"{name}.c_fc", x)))

    def _norm(self, name: str, x: Tensor) -> Tensor:
        weight = self.tensors[f"{name}.weight"]
        return layer_norm(x, weight.shape, weight, self.tensors[f"{name}.bias"])

    def _linear(self, name: str, x: Tensor) -> Tensor:
        return linear(x, self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"])


def cloud_mesh(network: PointESdf, points: Floats, grid_size: int = GRID_SIZE) -> Triangles:
    """Return the mesh of points (N, 3), in their own axes. Raises ValueError without points, and for too many."""
    if not 1 <= len(points) <= MAX_POINTS:
        raise ValueError(f"expected 1 to {MAX_POINTS:,} points of Point-E, got {len(points):,}")
    if not np.isfinite(points).all():
        raise ValueError("expected finite coordinates, got NaN or infinity")
    latents = network.encode(torch.from_numpy(points.astype(np.float32)).to(network.device))
    ticks = torch.linspace(-EDGE / 2.0, EDGE / 2.0, grid_size, device=network.device)
    queries = torch.cartesian_prod(ticks, ticks, ticks)
    parts = [network.distances(part, latents) for part in queries.split(QUERIES)]
    volume = torch.cat(parts).view((grid_size,) * 3).cpu().numpy()
    if (volume < 0).all() or (volume > 0).all():
        # As published: a field without a surface is shifted until it has some.
        volume = volume - volume.mean()
    step = EDGE / (grid_size - 1)
    vertices, faces, _, _ = marching_cubes(volume, level=0.0, spacing=(step,) * 3, allow_degenerate=False)
    # As published: the first two corners change places.
    return Triangles(vertices.astype(np.float64) - EDGE / 2.0, faces[:, [1, 0, 2]].astype(np.int64))


def sdf_shapes(width: int, encoder_layers: int, decoder_layers: int) -> dict[str, tuple[int, ...]]:
    """Return the tensors' names and shapes; the published network has width 256, and 8 and 4 layers."""
    layers = {"encoder_input_proj": (width, 3), "decoder_input_proj": (width, 3), "output_proj": (1, width)}
    norms = ["ln_post"]
    for blocks, count, projections, block_norms in (
        (ENCODER, encoder_layers, {"c_qkv": 3, "c_proj": 1}, ("ln_1", "ln_2")),
        (DECODER, decoder_layers, {"c_q": 1, "c_kv": 2, "c_proj": 1}, ("ln_1", "ln_2", "ln_3")),
    ):
        for block in (f"{blocks}.{index}" for index in range(count)):
            layers |= {f"{block}.attn.{name}": (parts * width, width) for name, parts in projections.items()}
            layers |= {f"{block}.mlp.c_fc": (4 * width, width), f"{block}.mlp.c_proj": (width, 4 * width)}
            norms += [f"{block}.{name}" for name in block_norms]
    shapes: dict[str, tuple[int, ...]] = {f"{name}.weight": shape for name, shape in layers.items()}
    shapes |= {f"{name}.bias": shape[:1] for name, shape in layers.items()}
    return shapes | {f"{name}.{part}": (width,) for name in norms for part in ("weight", "bias")}


def _count(tensors: Mapping[str, Tensor], blocks: str) -> int:
    """Return the number of blocks."""
    return len({name.removeprefix(f"{blocks}.").partition(".")[0] for name in tensors if name.startswith(f"{blocks}.")})
