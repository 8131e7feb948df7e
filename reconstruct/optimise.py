"""Optimise a field from one view: the loop of Score Jacobian Chaining, coarse to fine."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from base.errors import Failure
from base.progress import Progress
from base.seeds import stable_seed
from geometry.camera import Lens
from geometry.relative import polar_angle, pose_vector
from reconstruct import losses
from reconstruct.field import SilhouetteGate, VoxelField
from reconstruct.rays import Rays, camera_rays, join_rays
from reconstruct.settings import ReconstructSettings
from reconstruct.sjc import ModelScore, ViewScore
from reconstruct.viewpoints import draw_viewpoints
from reconstruct.volume import render
from zero123.pipeline import Zero123Pipeline


def reconstruct(
    pipeline: Zero123Pipeline,
    rgba: NDArray[np.uint8],
    input_cam_from_world: ArrayLike,
    settings: ReconstructSettings,
    *,
    seed: int,
    progress: Progress,
) -> VoxelField:
    """Optimise a field from the input view `rgba` (H, W, 4), seen by the camera (3, 4), and the model's score.

    The same arguments give the same field on the same machine. Ctrl-C leaves nothing behind. Raises Failure for an
    input view without an object or without a square shape.
    """
    cameras = draw_viewpoints(seed, settings.score.viewpoints, settings.score.radius)
    score = None
    if settings.weights.score > 0:
        poses = pipeline.adapt_poses(
            pose_vector(input_cam_from_world, cameras), float(polar_angle(input_cam_from_world))
        )
        score = ModelScore(pipeline, rgba, poses, settings.score)
    view = prepare_input_view(rgba, input_cam_from_world, settings, device=str(pipeline.device))
    return optimise_field(view, cameras, score, settings, seed=seed, progress=progress)


@dataclass(frozen=True)
class InputView:
    """The rays of the visible input pixels, their RGBA colours (N, 4) in [0, 1], and the gate made from the alpha."""

    rays: Rays
    rgba: Tensor
    gate: SilhouetteGate


def prepare_input_view(
    rgba: NDArray[np.uint8], cam_from_world: ArrayLike, settings: ReconstructSettings, device: str = "cpu"
) -> InputView:
    """Prepare the image `rgba` (H, H, 4) for the losses. Raises Failure for another shape or an empty image."""
    hw = (rgba.shape[0], rgba.shape[1])
    if hw[0] != hw[1]:
        raise Failure(f"reconstruct: expected a square input view, got {hw[0]} × {hw[1]}")
    if not rgba[..., 3].any():
        raise Failure("reconstruct: expected an input view with an object in it, got a view transparent everywhere")
    lens = Lens(**settings.lens.model_dump())
    pixels = torch.from_numpy(rgba.astype(np.float32) / 255.0).to(device)
    matrix = torch.from_numpy(np.array(cam_from_world, np.float64)).float()
    gate = SilhouetteGate(pixels[..., 3], matrix, 2.0 * lens.focal_px(hw) / max(hw)).to(device)
    # Only visible pixels are compared: the gate already keeps the rest empty.
    visible = torch.nonzero(pixels[..., 3].reshape(-1) > 0)[:, 0]
    return InputView(camera_rays(cam_from_world, lens, hw, device)[visible], pixels.reshape(-1, 4)[visible], gate)


def optimise_field(
    view: InputView,
    cameras: NDArray[np.float64],
    score: ViewScore | None,
    settings: ReconstructSettings,
    *,
    seed: int,
    progress: Progress,
) -> VoxelField:
    """Optimise a field for the input view, for `score` at `cameras` (K, 3, 4), and for the other losses.

    A `score` of None leaves the input view and the other losses.
    """
    device = view.rgba.device
    generator = torch.Generator().manual_seed(stable_seed(seed, "reconstruct-draws"))
    first, total = settings.stages[0], sum(stage.steps for stage in settings.stages)
    field = VoxelField(first.resolution, settings.field.half_extent, settings.field.density_scale, view.gate).to(device)
    # Unseen sides start in the object's own colour: from grey they would rather turn white, and hide, than vanish.
    mean_colour = (view.rgba[:, :3] * view.rgba[:, 3:]).sum(0) / view.rgba[:, 3].sum()
    field.fill(settings.field.initial_raw_density, mean_colour, settings.field.initial_noise, generator)
    done = 0
    with progress.task("reconstruct", total=total, unit="steps") as task:
        for stage in settings.stages:
            field = field if stage.resolution == field.resolution else field.resample(stage.resolution)
            # A new grid has new parameters, so Adam's averages begin again.
            optimiser = torch.optim.Adam(
                [
                    {"params": [field.density], "lr": settings.rates.density},
                    {"params": [field.colour], "lr": settings.rates.colour},
                ],
                betas=(0.9, 0.95),
            )
            for _ in range(stage.steps):
                optimiser.zero_grad(set_to_none=True)
                loss = _input_loss(field, view, settings, generator)
                if score is not None:
                    which = [
                        (done * settings.score.views_per_step + k) % len(cameras)
                        for k in range(settings.score.views_per_step)
                    ]
                    loss = loss + _score_loss(field, cameras, which, score, settings, done / total, generator)
                loss.backward()
                optimiser.step()
                done += 1
                task.advance(1, note=f"{stage.resolution}³ voxels")
    return field


def _input_loss(
    field: VoxelField, view: InputView, settings: ReconstructSettings, generator: torch.Generator
) -> Tensor:
    weights = settings.weights
    rows = torch.randint(len(view.rgba), (settings.input_rays,), generator=generator).to(view.rgba.device)
    rendered = render(field, view.rays[rows], settings.samples_per_ray, generator)
    colour, alpha = losses.input_view(rendered, view.rgba[rows])
    loss = weights.colour * colour + weights.alpha * alpha
    if weights.density_smooth > 0:
        loss = loss + weights.density_smooth * losses.grid_smoothness(field.density)
    if weights.colour_smooth > 0:
        loss = loss + weights.colour_smooth * losses.grid_smoothness(field.colour)
    return loss


def _score_loss(
    field: VoxelField,
    cameras: NDArray[np.float64],
    which: list[int],
    score: ViewScore,
    settings: ReconstructSettings,
    done: float,
    generator: torch.Generator,
) -> Tensor:
    """Sum the score's loss over the views `which` and the priors for solid objects over their pixels."""
    weights, (height, width) = settings.weights, score.hw
    lens = Lens(**settings.lens.model_dump())
    rays = join_rays([camera_rays(cameras[k], lens, score.hw, str(field.density.device)) for k in which])
    rendered = render(field, rays, settings.samples_per_ray, generator)
    # On channels-last memory the encoder's GroupNorm is far less exact on a CPU: see zero123.latents.composited.
    images = rendered.on_white().view(len(which), height, width, 3).permute(0, 3, 1, 2).contiguous()
    loss = weights.score * score.loss(images, which, done, generator)
    if weights.emptiness > 0:
        loss = loss + weights.emptiness * losses.emptiness(rendered.weights, 10.0)
    if weights.indecision > 0:
        loss = loss + weights.indecision * losses.indecision(rendered.alpha)
    if weights.depth_smooth > 0:
        depth = rendered.depth.view(len(which), height, width)
        loss = loss + weights.depth_smooth * losses.image_smoothness(depth)
    return loss
