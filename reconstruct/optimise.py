"""Optimise a field from one view: the loop of Score Jacobian Chaining, coarse to fine."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn import functional

from base.errors import Failure
from base.progress import Progress
from base.seeds import stable_seed
from geometry.camera import Lens
from geometry.relative import polar_angle, pose_vector
from reconstruct import losses
from reconstruct.field import LatentCodec, SilhouetteGate, VoxelField
from reconstruct.rays import Rays, camera_rays, join_rays
from reconstruct.settings import ReconstructSettings
from reconstruct.sjc import ModelCodec, ModelScore, ViewScore
from reconstruct.viewpoints import near_cameras, score_viewpoints
from reconstruct.volume import Rendered, render
from zero123.pipeline import Zero123Pipeline

OPTIMISERS = {"adam": (torch.optim.Adam, (0.9, 0.95)), "adamax": (torch.optim.Adamax, (0.9, 0.999))}
"""Each optimiser with its averages; Adamax (arXiv 1412.6980, §7.1) with those of the original's run."""
MOMENTS = ("step", "exp_avg", "exp_avg_sq", "exp_inf")
"""The optimisers' state of a parameter."""


class Watcher(Protocol):
    """An observer of a run, such as its checkpoints."""

    def begin(self, run: "FieldRun") -> None:
        """Look at a run before its first step; it may be restored from an earlier state."""
        ...

    def after_step(self, run: "FieldRun") -> None:
        """Look at a run after a step."""
        ...


def reconstruct(
    pipeline: Zero123Pipeline,
    rgba: NDArray[np.uint8],
    input_cam_from_world: ArrayLike,
    settings: ReconstructSettings,
    *,
    seed: int,
    progress: Progress,
    watchers: Sequence[Watcher] = (),
) -> VoxelField:
    """Optimise a field from the input view `rgba` (H, W, 4), seen by the camera (3, 4), and the model's score.

    The same arguments give the same field on the same machine. Raises Failure as `prepare_input_view` and
    `optimise_field` do.
    """
    cameras = score_viewpoints(seed, settings.score)
    latents = settings.field.space == "latents"
    score = None
    if settings.weights.score > 0:
        poses = pipeline.adapt_poses(
            pose_vector(input_cam_from_world, cameras), float(polar_angle(input_cam_from_world))
        )
        score = ModelScore(pipeline, pipeline.condition(rgba[None], poses), settings.score, of_latents=latents)
    codec = ModelCodec(pipeline) if latents else None
    view = prepare_input_view(rgba, input_cam_from_world, settings, device=str(pipeline.device), codec=codec)
    return optimise_field(view, cameras, score, settings, seed=seed, progress=progress, watchers=watchers)


@dataclass(frozen=True)
class InputView:
    """The rays of the visible input pixels, their RGBA colours (N, 4) in [0, 1], and the gate made from the alpha.

    With a `codec` the field is of latents. It is compared with the whole `picture` (H, H, 4), seen by `camera` (3, 4).
    """

    rays: Rays
    rgba: Tensor
    gate: SilhouetteGate
    picture: Tensor
    camera: NDArray[np.float64]
    codec: LatentCodec | None = None


def prepare_input_view(
    rgba: NDArray[np.uint8],
    cam_from_world: ArrayLike,
    settings: ReconstructSettings,
    device: str = "cpu",
    codec: LatentCodec | None = None,
) -> InputView:
    """Prepare the image `rgba` (H, H, 4) for the losses. Raises Failure for another shape or an empty image."""
    if codec is not None and rgba.shape[0] % codec.edge_px:
        raise Failure(
            f"reconstruct: expected an input view with edges of a multiple of {codec.edge_px} px for a field of "
            f"latents, got {rgba.shape[0]} px"
        )
    hw = (rgba.shape[0], rgba.shape[1])
    if hw[0] != hw[1]:
        raise Failure(f"reconstruct: expected a square input view, got {hw[0]} × {hw[1]}")
    if not rgba[..., 3].any():
        raise Failure("reconstruct: expected an input view with an object in it, got a view transparent everywhere")
    if (rgba[..., 3] > 0).all():
        raise Failure("reconstruct: expected background around the object, got a view that is nowhere transparent")
    lens = Lens(**settings.lens.model_dump())
    pixels = torch.from_numpy(rgba.astype(np.float32) / 255.0).to(device)
    matrix = torch.from_numpy(np.array(cam_from_world, np.float64)).float()
    gate = SilhouetteGate(pixels[..., 3], matrix, 2.0 * lens.focal_px(hw) / max(hw)).to(device)
    # Only visible pixels are compared: the gate already keeps the rest empty.
    visible = torch.nonzero(pixels[..., 3].reshape(-1) > 0)[:, 0]
    rays = camera_rays(cam_from_world, lens, hw, device)[visible]
    return InputView(rays, pixels.reshape(-1, 4)[visible], gate, pixels, np.array(cam_from_world, np.float64), codec)


def optimise_field(
    view: InputView,
    cameras: NDArray[np.float64],
    score: ViewScore | None,
    settings: ReconstructSettings,
    *,
    seed: int,
    progress: Progress,
    watchers: Sequence[Watcher] = (),
) -> VoxelField:
    """Optimise a field for the input view, for `score` at `cameras` (K, 3, 4), and for the other losses.

    A `score` of None leaves the input view and the other losses. Raises Failure for a field that turns out empty, and
    for a loss that is no number.
    """
    run = FieldRun(view, cameras, score, settings, seed=seed)
    for watcher in watchers:
        watcher.begin(run)
    with progress.task("reconstruct", total=run.total, unit="steps", done=run.done) as task:
        while run.done < run.total:
            loss = run.step()
            task.advance(1, note=f"{run.field.resolution}³ voxels, loss {loss:.3g}")
            for watcher in watchers:
                watcher.after_step(run)
    return run.field


class FieldRun:
    """The optimisation of a field, a step at a time. Equal states go on equally, on the same machine."""

    def __init__(
        self,
        view: InputView,
        cameras: NDArray[np.float64],
        score: ViewScore | None,
        settings: ReconstructSettings,
        *,
        seed: int,
    ) -> None:
        self.view, self.cameras, self.score, self.settings = view, cameras, score, settings
        self.generator = torch.Generator().manual_seed(stable_seed(seed, "reconstruct-draws"))
        self.done, self.total = 0, sum(stage.steps for stage in settings.stages)
        self._resolutions = [stage.resolution for stage in settings.stages for _ in range(stage.steps)]
        field = self._new_field(self._resolutions[0])
        # Unseen sides start in the object's own colour: from grey they would rather turn white, and hide, than vanish.
        mean_colour = (view.rgba[:, :3] * view.rgba[:, 3:]).sum(0) / view.rgba[:, 3].sum()
        field.fill(settings.field.initial_raw_density, mean_colour, settings.field.initial_noise, self.generator)
        self._start_on(field)

    def step(self) -> float:
        """Take the next step and return its loss."""
        if self._resolutions[self.done] != self.field.resolution:
            self._start_on(self.field.resample(self._resolutions[self.done]))
        self.optimiser.zero_grad(set_to_none=True)
        loss = _input_loss(self.field, self.view, self.settings, self.generator)
        if self.score is not None:
            each = self.settings.score.views_per_step
            # Viewpoints take turns, so all sides are seen equally often.
            which = [(self.done * each + k) % len(self.cameras) for k in range(each)]
            done = self.done / self.total
            loss = loss + _score_loss(self.field, self.cameras, which, self.score, self.settings, done, self.generator)
        loss.backward()
        self.optimiser.step()
        self.done += 1
        self._check(float(loss.detach()))
        return float(loss.detach())

    def state(self) -> dict[str, Tensor]:
        """Return everything that later steps depend on, as tensors on the CPU."""
        tensors = {"done": torch.tensor(self.done), "generator": self.generator.get_state()}
        for name, parameter in self._parameters().items():
            tensors[name] = parameter.detach()
            tensors |= {f"{name}.{key}": value for key, value in self.optimiser.state.get(parameter, {}).items()}
        return {name: value.cpu().contiguous() for name, value in tensors.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state of a run with the same arguments."""
        self.done = int(state["done"])
        self.generator.set_state(state["generator"])
        self._start_on(self._new_field(state["density"].shape[-1]))
        for name, parameter in self._parameters().items():
            with torch.no_grad():
                parameter.copy_(state[name])
            moments = {key: state[f"{name}.{key}"].to(parameter.device) for key in MOMENTS if f"{name}.{key}" in state}
            if moments:
                # The optimisers count their steps on the CPU.
                self.optimiser.state[parameter] = {**moments, "step": moments["step"].cpu()}

    def _new_field(self, resolution: int) -> VoxelField:
        cube = self.settings.field
        field = VoxelField(resolution, cube.half_extent, cube.density_scale, self.view.gate, self.view.codec)
        return field.to(self.view.rgba.device)

    def _start_on(self, field: VoxelField) -> None:
        """Optimise `field` from now on. A new grid has new parameters, so the averages begin again."""
        self.field = field
        rates = self.settings.rates
        groups = [{"params": [field.density], "lr": rates.density}, {"params": [field.colour], "lr": rates.colour}]
        kind, betas = OPTIMISERS[rates.optimiser]
        self.optimiser: torch.optim.Optimizer = kind(groups, betas=betas)

    def _parameters(self) -> dict[str, nn.Parameter]:
        return {"density": self.field.density, "colour": self.field.colour}

    def _check(self, loss: float) -> None:
        """Find out early what no later step can mend."""
        if not math.isfinite(loss):
            raise Failure(
                f"reconstruct: expected a finite loss, got {loss} in step {self.done}; lower reconstruct.rates help"
            )
        # A field starts nearly empty and fills up, so it is judged only at the end of a stage.
        ends_stage = self.done < self.total and self._resolutions[self.done] != self.field.resolution
        lowest = min(self.settings.mesh.levels)
        if ends_stage and (densest := self.field.densest()) < lowest:
            raise Failure(
                f"reconstruct: expected something solid after {self.done} steps, got an empty field (densest "
                f"{densest:.2g}, lowest of mesh.levels {lowest:g}); a lower reconstruct.weights.emptiness helps"
            )


def _input_loss(
    field: VoxelField, view: InputView, settings: ReconstructSettings, generator: torch.Generator
) -> Tensor:
    weights = settings.weights
    if field.codec is None:
        # A random sample of the pixels: its mean loss is that of all of them, at a fixed cost a step.
        rows = torch.randint(len(view.rgba), (settings.input_rays,), generator=generator).to(view.rgba.device)
        rendered = render(field, view.rays[rows], settings.samples_per_ray, generator)
        colour, alpha = losses.input_view(rendered, view.rgba[rows])
    else:
        colour, alpha = _decoded_input_losses(field, field.codec, view, settings, generator)
    loss = weights.colour * colour + weights.alpha * alpha
    if weights.density_smooth > 0:
        loss = loss + weights.density_smooth * losses.grid_smoothness(field.density)
    if weights.colour_smooth > 0:
        loss = loss + weights.colour_smooth * losses.grid_smoothness(field.colour)
    return loss


def _decoded_input_losses(
    field: VoxelField, codec: LatentCodec, view: InputView, settings: ReconstructSettings, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return the losses of the decoded input view, and of its alpha on the grid of the latents."""
    edge = codec.edge_px
    hw = (view.picture.shape[0] // edge, view.picture.shape[1] // edge)
    seen = _render_views(field, view.camera[None], hw, settings, generator)
    alpha = functional.avg_pool2d(view.picture[None, None, ..., 3], edge).reshape(-1)
    colour = losses.decoded_view(codec.decode(seen.images)[0], view.picture)
    return colour, (seen.rendered.alpha - alpha).square().mean()


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
    weights = settings.weights
    views = _render_views(field, cameras[which], score.hw, settings, generator)
    loss = weights.score * score.loss(views.images, which, done, generator)
    if weights.emptiness > 0:
        loss = loss + weights.emptiness * losses.emptiness(views.rendered.weights, 10.0)
    if weights.indecision > 0:
        loss = loss + weights.indecision * losses.indecision(views.rendered.alpha)
    if weights.depth_smooth > 0 and done >= weights.depth_smooth_from:
        loss = loss + weights.depth_smooth * losses.image_smoothness(views.depth)
    if weights.near_view > 0:
        moved = near_cameras(cameras[which], settings.score.near_distance, generator)
        near = _render_views(field, moved, score.hw, settings, generator)
        loss = loss + weights.near_view * losses.near_view_change(views.images, near.images, views.depth, near.depth)
    return loss


@dataclass(frozen=True)
class _Views:
    """Rendered views: `images` or latents (B, C, H, W) on white, `depth` (B, H, W), and the rays behind both."""

    images: Tensor
    depth: Tensor
    rendered: Rendered


def _render_views(
    field: VoxelField,
    cameras: NDArray[np.float64],
    hw: tuple[int, int],
    settings: ReconstructSettings,
    generator: torch.Generator,
) -> _Views:
    lens = Lens(**settings.lens.model_dump())
    rays = join_rays([camera_rays(camera, lens, hw, str(field.density.device)) for camera in cameras])
    rendered = render(field, rays, settings.samples_per_ray, generator)
    # On channels-last memory the encoder's GroupNorm is far less exact on a CPU: see zero123.latents.composited.
    images = rendered.over(field.background()).view(len(cameras), *hw, -1).permute(0, 3, 1, 2).contiguous()
    return _Views(images, rendered.depth.view(len(cameras), *hw), rendered)
