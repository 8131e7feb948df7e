"""The elevation of a photo's camera, from the model itself.

`polar` is the camera's angle from +z, `turn` a rotation of the camera about +z. Two scores of a candidate:

- agreement: nearby views, turned a little to both sides, are sampled. A turn rotates the scene about +z. The direction
  of +z in the camera's axes follows from the candidate; so each candidate predicts where a pixel of a given depth
  goes. The score is the colour difference at the best depth of each pixel (plane sweep).
- noise: seen from straight above, a turn by δ is a rotation of the picture by δ. A candidate implies a move to the view
  from above. That view is sampled, and the score is the model's noise-prediction error on its rotated copies.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torch.nn.functional import mse_loss

from base.seeds import stable_seed
from geometry.camera import Lens, ray_directions
from geometry.relative import pose_from_deltas, relative_motion
from geometry.rig import place_cameras
from zero123.latents import target_latent
from zero123.schedule import add_noise, target_of
from zero123.settings import ElevationSettings

if TYPE_CHECKING:
    from zero123.model import Zero123Model

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]
DrawViews = Callable[[Floats, list[int], float], Pixels]
"""Views (N, H, W, 3) for moves (polar, azimuth, radius) (N, 3), a seed each, and the input's polar angle."""
DEPTH_REACH = 0.75
"""How far before and behind the origin a surface may be, in longest edges of the object."""


@dataclass(frozen=True, kw_only=True)
class ElevationInput:
    """A photo (H, W, 4), the lens and distance it counts as taken with, how views are drawn, and the seed of all."""

    rgba: Pixels
    lens: Lens
    radius: float
    draw: DrawViews
    seed: int


@dataclass(frozen=True)
class Elevation:
    """An estimate in degrees with its spread, and the score (lower is better) of each candidate."""

    deg: float
    spread_deg: float
    candidates_deg: tuple[float, ...]
    scores: tuple[float, ...]
    method: str

    def facts(self) -> dict[str, float | str | list[float]]:
        """Return the estimate as JSON values."""
        return {
            "deg": round(self.deg, 2),
            "source": f"estimated by {self.method}",
            "spread_deg": round(self.spread_deg, 2),
            "candidates_deg": list(self.candidates_deg),
            "scores": [round(score, 6) for score in self.scores],
        }


def candidates_deg(settings: ElevationSettings) -> Floats:
    """Return the candidate elevations in degrees."""
    first, last, step = settings.candidates_deg
    # Half a step more, because rounding could lose the last candidate.
    return np.arange(first, last + step / 2.0, step)


def estimate_elevation(model: "Zero123Model", given: ElevationInput, settings: ElevationSettings) -> Elevation:
    """Estimate the elevation of the camera of a photo by `settings.method`.

    The spread is the standard deviation of the estimates, each without another of the scored views (jackknife).
    """
    degrees = candidates_deg(settings)
    polars = np.deg2rad(90.0 - degrees)
    if settings.method == "agreement":
        scores = _agreement_scores(model, given, settings, polars)
    else:
        scores = np.stack([_noise_scores(model, given, settings, float(polar)) for polar in polars], axis=1)
    return _estimate(degrees, scores, settings.method)


def _estimate(degrees: Floats, scores: Floats, method: str) -> Elevation:
    """The estimate from scores (N, C): of each view left out, and of all in the last row."""
    each = np.array([_lowest(degrees, row) for row in scores])
    count = len(each) - 1
    # The jackknife's variance: (N − 1) / N times the sum of squares about the mean.
    spread = float(np.sqrt((count - 1) / count * ((each[:-1] - each[:-1].mean()) ** 2).sum()))
    return Elevation(float(each[-1]), spread, tuple(degrees.tolist()), tuple(scores[-1].tolist()), method)


def _lowest(degrees: Floats, scores: Floats) -> float:
    """Where the scores are lowest, by a parabola through the lowest and its neighbours."""
    at = int(np.argmin(scores))
    # At an end there are no two neighbours for a parabola.
    if not 0 < at < len(scores) - 1:
        return float(degrees[at])
    left, middle, right = scores[at - 1 : at + 2]
    bend = left - 2.0 * middle + right
    return float(degrees[at] + (degrees[1] - degrees[0]) * (0.5 * (left - right) / bend if bend > 0.0 else 0.0))


def _agreement_scores(
    model: "Zero123Model", given: ElevationInput, settings: ElevationSettings, polars: Floats
) -> Floats:
    turns = np.deg2rad(settings.turns_deg)
    seeds = [stable_seed(given.seed, "elevation", number) for number in range(len(turns))]
    moves = np.stack([np.zeros_like(turns), turns, np.zeros_like(turns)], axis=1)
    views = None
    columns = []
    for polar in polars:
        # A model that is given the input's polar angle draws other views for each candidate.
        if views is None or model.pose_slot4 == "input_polar":
            views = given.draw(moves, seeds, float(polar))
        columns.append(agreement(given.rgba, views, turns, float(polar), given.radius, given.lens, settings))
    return np.stack(columns, axis=1)


def agreement(
    rgba: Pixels, views: Pixels, turns: Floats, polar: float, radius: float, lens: Lens, settings: ElevationSettings
) -> Floats:
    """Return how badly views (N, H, W, 3) after `turns` (N,) fit the photo (H, W, 4) if its camera is at `polar`.

    Mean colour difference in [0, 1] at each pixel's best depth, (N + 1,): without each view, then with all.
    """
    hw = (settings.side_px, settings.side_px)
    photo = _shrunk(_on_white(rgba), hw)
    alpha = _shrunk(rgba[..., 3:].repeat(3, 2).astype(np.float64) / 255.0, hw)[..., 0]
    inside = alpha > 0.5
    places = np.array([[polar, turn, radius] for turn in (0.0, *turns)])
    cameras = place_cameras(places)
    depths = np.linspace(radius - DEPTH_REACH, radius + DEPTH_REACH, settings.depths)
    points = ray_directions(lens, hw)[inside][:, None] * depths[:, None]  # (P, D, 3) in the photo's camera
    errors = []
    for view, camera in zip(views, cameras[1:], strict=True):
        rotation, translation = relative_motion(cameras[0], camera)
        there = points @ rotation.T + translation
        scale = lens.focal_px(hw) / np.maximum(-there[..., 2], 1e-3)
        rows, columns = hw[0] / 2 - 0.5 - scale * there[..., 1], hw[1] / 2 - 0.5 + scale * there[..., 0]
        shrunk = _shrunk(view.astype(np.float64) / 255.0, hw)
        seen = [
            ndimage.map_coordinates(shrunk[..., channel], [rows, columns], order=1, mode="constant", cval=1.0)
            for channel in range(3)
        ]
        # Background is white in both, so a point that leaves the object costs its difference to white.
        errors.append(np.abs(np.stack(seen, -1) - photo[inside][:, None]).mean(-1))  # (P, D)
    every = np.stack(errors)
    # For the jackknife.
    without = [np.delete(every, number, axis=0) for number in range(len(every))]
    return np.array([chosen.mean(0).min(-1).mean() for chosen in (*without, every)])


def _noise_scores(model: "Zero123Model", given: ElevationInput, settings: ElevationSettings, polar: float) -> Floats:
    """The noise-prediction error on rotated views from above, (N + 1,): without each turn, then with all."""
    seeds = [stable_seed(given.seed, "elevation", "above")]
    above = given.draw(np.array([[-polar, 0.0, 0.0]]), seeds, polar)[0]
    turns = np.deg2rad([90.0, 180.0, 270.0])
    # Turned to the right the camera goes counter-clockwise, and so the object clockwise in the picture.
    copies = np.stack([np.rot90(above, -number) for number in (1, 2, 3)])
    pose = model.adapt_poses(pose_from_deltas(-polar, turns, 0.0), polar)
    images = torch.as_tensor(copies.copy()).permute(0, 3, 1, 2).to(model.device, model.dtype) / 127.5 - 1.0
    errors = np.zeros(len(turns))
    with torch.no_grad():
        conditioning = model.condition(given.rgba[None], pose)
        clean = target_latent(model.vae, images)
        for number, fraction in enumerate(settings.noise_at):
            timestep = torch.full((len(turns),), round(fraction * (len(model.schedule.alphas_cumprod) - 1)))
            generator = torch.Generator().manual_seed(stable_seed(given.seed, "elevation-noise", number))
            # The same noise for all turns, so that only the turn makes a difference.
            noise = torch.randn(clean.shape[1:], generator=generator).to(clean).expand_as(clean)
            alpha, sigma = model.schedule.alpha_sigma(timestep.to(clean.device))
            answer = model.predict(add_noise(clean, noise, alpha, sigma), timestep.to(clean.device), conditioning)
            wanted = target_of(clean, noise, alpha, sigma, model.schedule.prediction)
            errors += mse_loss(answer, wanted, reduction="none").mean((1, 2, 3)).cpu().numpy()
    return np.array([*[np.delete(errors, number).mean() for number in range(len(turns))], errors.mean()])


def _on_white(rgba: Pixels) -> Floats:
    alpha = rgba[..., 3:] / 255.0
    return np.asarray(rgba[..., :3] / 255.0 * alpha + 1.0 - alpha, np.float64)


def _shrunk(colour: Floats, hw: tuple[int, int]) -> Floats:
    """Colours (H, W, 3) in [0, 1] at `hw`, each channel averaged over what a pixel covers."""
    channels = [Image.fromarray(colour[..., channel].astype(np.float32)) for channel in range(colour.shape[2])]
    resized = [np.asarray(channel.resize(hw[::-1], Image.Resampling.BOX), np.float64) for channel in channels]
    return np.stack(resized, axis=-1)
