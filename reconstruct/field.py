"""A dense voxel field: density and colour in a cube around the object, read by trilinear interpolation.

`density` σ ≥ 0 is per world unit of length. Colours are RGB in [0, 1], or latents of an autoencoder, without bounds, as
in SJC (arXiv 2212.00774): the decoder makes a picture of a rendered view. The cube is [−half_extent, half_extent]³,
indexed [z, y, x] as `grid_sample` wants. Interpolation comes before the activation, which keeps surfaces sharp between
voxels (DVGO, arXiv 2111.11215, §4).
"""

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from reconstruct.rays import project_points

FAINT = 1.0 / 255.0
"""Alpha up to this counts as empty: a single step of an 8-bit picture."""
WIDENED = 12
"""The margin of `is_near` is the image's edge divided by this."""


class LatentCodec(Protocol):
    """An autoencoder's decoder: `background` (C,) is the latent of white, a latent has `edge_px` pixels each way."""

    background: Tensor
    edge_px: int

    def decode(self, latents: Tensor) -> Tensor:
        """Return the pictures (B, 3, H, W), in [0, 1] up to overshoot, of latents (B, C, h, w); differentiable."""
        ...


class SilhouetteGate(nn.Module):
    """A gate on density from the input's alpha: points that project to empty pixels get no density.

    `alpha` is (H, W) in [0, 1], `cam_from_world` (3, 4), `focal` in units of half the image's edge. Points outside the
    frame take the alpha at the frame's edge, so an object cut by the border may continue beyond it.
    """

    alpha: Tensor
    widened: Tensor
    cam_from_world: Tensor

    def __init__(self, alpha: Tensor, cam_from_world: Tensor, focal: float) -> None:
        super().__init__()
        # Buffers move to the device with the field and are not optimised.
        self.register_buffer("alpha", alpha[None, None].float())
        margin = max(1, alpha.shape[-1] // WIDENED)
        # A maximum over a neighbourhood is a dilation.
        widened = functional.max_pool2d(self.alpha, 2 * margin + 1, stride=1, padding=margin)
        self.register_buffer("widened", widened)
        self.register_buffer("cam_from_world", cam_from_world.float())
        self.focal = focal

    def forward(self, points: Tensor) -> Tensor:
        """Return the input's alpha at the projection of each point (N, 3); (N,) in [0, 1]."""
        return self._seen(self.alpha, points)

    def is_near(self, points: Tensor) -> Tensor:
        """Test which points (N, 3) project within edge / WIDENED pixels of anything visible; (N,) bool."""
        return self._seen(self.widened, points) > FAINT

    def _seen(self, image: Tensor, points: Tensor) -> Tensor:
        xy = project_points(points, self.cam_from_world, self.focal)[None, None]
        seen: Tensor = functional.grid_sample(image, xy, padding_mode="border", align_corners=False)
        return seen[0, 0, 0]


class VoxelField(nn.Module):
    """Raw density (1, 1, N, N, N) and raw colour (1, C, N, N, N), with an optional gate on the density.

    C is 3, or the number of channels of the `codec` of a field of latents.
    """

    def __init__(
        self,
        resolution: int,
        half_extent: float,
        density_scale: float,
        gate: SilhouetteGate | None,
        codec: LatentCodec | None = None,
    ) -> None:
        super().__init__()
        self.half_extent = half_extent
        self.density_scale = density_scale
        self.gate = gate
        self.codec = codec
        channels = 3 if codec is None else len(codec.background)
        self.density = nn.Parameter(torch.zeros(1, 1, resolution, resolution, resolution))
        self.colour = nn.Parameter(torch.zeros(1, channels, resolution, resolution, resolution))

    @property
    def resolution(self) -> int:
        """Voxels along each edge of the cube."""
        return self.density.shape[-1]

    def fill(self, raw_density: float, colour: Tensor, noise: float, generator: torch.Generator) -> None:
        """Set all voxels to a raw density and a colour (3,) in [0, 1], plus Gaussian noise of deviation `noise`.

        Latents have no mean colour to start from. They are drawn from N(0, 1), as in the original.
        """
        # Black and white are at the infinite ends of the sigmoid, so the colour is kept away from them.
        raw_colour = torch.logit(colour.clamp(0.02, 0.98)).view(1, 3, 1, 1, 1)
        colours = (self.colour, raw_colour, noise) if self.codec is None else (self.colour, 0.0, 1.0)
        with torch.no_grad():
            for values, mean, deviation in ((self.density, raw_density, noise), colours):
                draws = torch.randn(values.shape, generator=generator).to(values.device)
                values.copy_(mean + deviation * draws)

    def forward(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Density (N,) and colour or latents (N, C) at world points (N, 3)."""
        raw = self._raw(torch.cat([self.density, self.colour], dim=1), points)
        density = self.density_scale * functional.softplus(raw[0])
        if self.gate is not None:
            density = density * self.gate(points)
        colour: Tensor = torch.sigmoid(raw[1:]).T if self.codec is None else raw[1:].T
        return density, colour

    def background(self) -> Tensor:
        """Return the colour (C,) of light that passes the cube: white."""
        return torch.ones(3, device=self.density.device) if self.codec is None else self.codec.background

    def densest(self) -> float:
        """Return the greatest density at a voxel's centre, whatever the gate says."""
        return self.density_scale * float(functional.softplus(self.density.detach().max()))

    def is_allowed(self, points: Tensor) -> Tensor:
        """Test which points (N, 3) may have density; (N,) bool."""
        if self.gate is None:
            return torch.ones(len(points), dtype=torch.bool, device=points.device)
        visible: Tensor = self.gate(points) > FAINT
        return visible

    def is_nearly_allowed(self, points: Tensor) -> Tensor:
        """Like `is_allowed` with a wide margin, for a coarse search along rays; (N,) bool."""
        return self.is_allowed(points) if self.gate is None else self.gate.is_near(points)

    def resample(self, resolution: int) -> "VoxelField":
        """Return the field on another grid, by trilinear interpolation of its raw values."""
        result = VoxelField(resolution, self.half_extent, self.density_scale, self.gate, self.codec)
        result = result.to(self.density.device)
        with torch.no_grad():
            for old, new in ((self.density, result.density), (self.colour, result.colour)):
                new.copy_(functional.interpolate(old, size=(resolution,) * 3, mode="trilinear", align_corners=False))
        return result

    def _raw(self, grid: Tensor, points: Tensor) -> Tensor:
        where = (points / self.half_extent)[None, None, None]
        raw: Tensor = functional.grid_sample(grid, where, padding_mode="border", align_corners=False)
        return raw[0, :, 0, 0]
