"""Volume rendering of a field along rays (NeRF, arXiv 2003.08934, eq. 3).

N rays, S samples each. sigma_i ≥ 0 is the density of sample i and delta_i the length of its segment.
T_i = exp(−Σ_{j<i} sigma_j delta_j) is the light reaching sample i, w_i = T_i (1 − exp(−sigma_i delta_i)) the weight of
the sample, and Σ w_i the alpha of the ray.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from reconstruct.field import VoxelField
from reconstruct.rays import Rays, box_span

COARSE = 20
"""Samples of the coarse search along a ray, which decides whether the ray is rendered."""


@dataclass(frozen=True)
class Rendered:
    """The rendering of N rays: `premultiplied` colour (N, C), `alpha` (N,), `depth` (N,), and `weights` (M, S).

    `depth` is the mean distance weighted by w, where light that passes counts with the far side of the cube. `weights`
    has a row for each of the M ≤ N rays that may meet density.
    """

    premultiplied: Float[Tensor, "N C"]
    alpha: Float[Tensor, " N"]
    depth: Float[Tensor, " N"]
    weights: Float[Tensor, "M S"]

    def over(self, background: Float[Tensor, " C"]) -> Float[Tensor, "N C"]:
        """Return the colour over a background."""
        return self.premultiplied + (1.0 - self.alpha)[:, None] * background


def sample_weights(sigma: Float[Tensor, "N S"], delta: Float[Tensor, " N #S"]) -> Float[Tensor, "N S"]:
    """Return w (N, S) for densities (N, S) and lengths (N, S) or (N, 1)."""
    optical = sigma * delta
    # The light is dimmed by the samples before, not by the sample itself.
    before = torch.cumsum(optical, dim=1) - optical
    # `expm1` keeps faint samples exact, where 1 − exp(−x) rounds to 0.
    return torch.exp(-before) * -torch.expm1(-optical)


def sample_distances(
    near: Float[Tensor, " N"], far: Float[Tensor, " N"], samples: int, generator: torch.Generator | None
) -> Float[Tensor, "N {samples}"]:
    """Draw a distance in each of `samples` equal parts of [near, far], or take their middles without `generator`.

    Returns (N, S).
    """
    shape = (len(near), samples)
    inside = torch.full(shape, 0.5) if generator is None else torch.rand(shape, generator=generator)
    steps = (torch.arange(samples) + inside).to(near.device) / samples
    return near[:, None] + (far - near)[:, None] * steps


def render(field: VoxelField, rays: Rays, samples: int, generator: torch.Generator | None = None) -> Rendered:
    """Render `field` along `rays` with `samples` per ray inside the cube; differentiable in the field's values.

    Rays and samples without possible density are skipped, which saves most of the time.
    """
    near, far = box_span(rays, field.half_extent)
    reaching = _reaching(field, rays, near, far)
    some = _render_all(field, rays[reaching], near[reaching], far[reaching], samples, generator)
    return Rendered(
        far.new_zeros(len(rays), some.premultiplied.shape[1]).index_copy(0, reaching, some.premultiplied),
        far.new_zeros(len(rays)).index_copy(0, reaching, some.alpha),
        # Rays that meet nothing have the depth of the cube's far side.
        far.index_copy(0, reaching, some.depth),
        some.weights,
    )


def _reaching(field: VoxelField, rays: Rays, near: Tensor, far: Tensor) -> Tensor:
    """Return the indices of the rays that may meet density, from a coarse search with a wide margin."""
    crossing = torch.nonzero(far > near)[:, 0]
    steps = (torch.arange(COARSE, device=near.device) + 0.5) / COARSE
    distances = near[crossing, None] + (far - near)[crossing, None] * steps
    points = rays.origins[crossing, None] + rays.directions[crossing, None] * distances[..., None]
    return crossing[field.is_nearly_allowed(points.reshape(-1, 3)).view(-1, COARSE).any(1)]


def _render_all(
    field: VoxelField, rays: Rays, near: Tensor, far: Tensor, samples: int, generator: torch.Generator | None
) -> Rendered:
    distances = sample_distances(near, far, samples, generator)
    points = rays.origins[:, None] + rays.directions[:, None] * distances[..., None]
    flat = points.reshape(-1, 3)
    chosen = torch.nonzero(field.is_allowed(flat))[:, 0]
    density, colour = field(flat[chosen])
    sigma = flat.new_zeros(len(flat)).index_put((chosen,), density).view(distances.shape)
    weights = sample_weights(sigma, ((far - near) / samples)[:, None])
    rows = torch.div(chosen, samples, rounding_mode="floor")
    seen = weights.reshape(-1)[chosen, None] * colour
    premultiplied = flat.new_zeros(len(rays), colour.shape[1]).index_add(0, rows, seen)
    alpha = weights.sum(1)
    depth = (weights * distances).sum(1) + (1.0 - alpha) * far
    return Rendered(premultiplied, alpha, depth, weights)
