"""`--elevation-deg auto`: the elevation of a photo's camera as a loaded model finds it."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from base.progress import Progress
from geometry.relative import pose_from_deltas
from inference.sample_photo import Sections

if TYPE_CHECKING:
    from photo.prepare import Prepared
    from zero123.elevation import Elevation
    from zero123.pipeline import Zero123Pipeline

GIVEN_UP_DEG = 15.0
"""A spread beyond which a person is told that the estimate is weak."""


def estimated_elevation(
    pipeline: "Zero123Pipeline", photo: "Prepared", settings: Sections, seed: int, progress: Progress
) -> tuple[float, dict[str, Any]]:
    """Return the elevation in degrees and the facts about it for views.json; say both in one line."""
    found = find_elevation(pipeline, photo.view(pipeline.hw), settings, seed)
    weak = "; the estimate is weak, --elevation-deg DEG is better" if found.spread_deg > GIVEN_UP_DEG else ""
    progress.say(f"elevation: {found.deg:.0f}° ± {found.spread_deg:.0f}° by {found.method}{weak}")
    return found.deg, found.facts()


def find_elevation(pipeline: "Zero123Pipeline", rgba: NDArray[np.uint8], settings: Sections, seed: int) -> "Elevation":
    """Estimate the elevation of the camera of an input view (H, W, 4), see zero123.elevation."""
    from zero123.elevation import ElevationInput, estimate_elevation

    wanted = settings.views.elevation
    sampling = settings.sample.sampling().model_copy(
        update={"steps": wanted.steps, "guidance_scale": wanted.guidance_scale}
    )

    def draw(moves: NDArray[np.float64], seeds: list[int], polar_rad: float) -> NDArray[np.uint8]:
        # The candidate's angle, because some models are given it with the pose.
        poses = pipeline.adapt_poses(pose_from_deltas(*moves.T), polar_rad)
        at_once = settings.sample.compute.views_at_once
        return np.concatenate(
            list(pipeline.batches(rgba, poses, seeds=seeds, sampling=sampling, views_at_once=at_once))
        )

    framing = settings.photo.framing
    asked = ElevationInput(rgba=rgba, lens=framing.lens(), radius=framing.radius, draw=draw, seed=seed)
    return estimate_elevation(pipeline, asked, wanted)
