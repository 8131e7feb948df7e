"""The settings of section `reconstruct`: optimising a field from one view, and extracting its mesh."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from base.lens_settings import LensSettings
from base.settings import Section

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
TurntablePass = Literal["depth", "normal"]
Film = Literal["webp", "mp4", "webm"]
MeshFormat = Literal["glb", "obj", "ply", "usdz"]
OpeningCheck = Literal["silhouettes", "colours"]


class StageSettings(Section):
    """`steps` optimiser steps on a grid of `resolution` voxels along each edge. Stages run in order, coarse to fine."""

    resolution: Annotated[int, Field(ge=4, le=512)]
    steps: Count


class FieldSettings(Section):
    """The cube and its initial values. `density_scale` is the density, per unit length, at a raw value of about .54.

    Its colours are RGB or, in the `space` of the model's autoencoder, latents.
    """

    space: Literal["rgb", "latents"]
    half_extent: Positive
    density_scale: Positive
    initial_raw_density: float
    initial_noise: NotNegative


class ScoreSettings(Section):
    """The score from the diffusion model: its viewpoints, noise levels and number of evaluations.

    Timesteps are fractions of the schedule. Their range moves from `timesteps_first` to `timesteps_last` during the
    optimisation. `draws` noises are averaged for each view. The descent direction `gradient` is `sjc`, (y − D) /
    σ^`sigma_power`, or `sds` (see `reconstruct.sjc`), in the space of the rendered view's `latents` or, with D decoded,
    of the `image` itself. Where `near_view` has a weight, its second camera is `near_distance` away. `cameras` are even
    on the `sphere`, or drawn in a `cube` as in the original (see `reconstruct.viewpoints`).
    """

    viewpoints: Count
    cameras: Literal["sphere", "cube"]
    views_per_step: Count
    radius: tuple[Positive, Positive]
    guidance_scale: NotNegative
    draws: Count
    timesteps_first: tuple[Fraction, Fraction]
    timesteps_last: tuple[Fraction, Fraction]
    gradient: Literal["sjc", "sds"]
    sigma_power: NotNegative
    near_distance: NotNegative
    space: Literal["latents", "image"]

    @model_validator(mode="after")
    def _ranges_rise(self) -> Self:
        for name in ("radius", "timesteps_first", "timesteps_last"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"a {name} that rises")
        return self


class WeightSettings(Section):
    """The weight of each part of the loss; 0 leaves a part out.

    `depth_smooth` counts from the part `depth_smooth_from` of the steps on.
    """

    score: NotNegative
    colour: NotNegative
    alpha: NotNegative
    emptiness: NotNegative
    indecision: NotNegative
    depth_smooth: NotNegative
    depth_smooth_from: Fraction
    near_view: NotNegative
    density_smooth: NotNegative
    colour_smooth: NotNegative


class RateSettings(Section):
    """The optimiser and its learning rates."""

    optimiser: Literal["adam", "adamax"]
    density: Positive
    colour: Positive


class TextureSettings(Section):
    """A base-colour texture of `edge_px`², baked from the photo and from `views` views of the field."""

    edge_px: Annotated[int, Field(ge=16, le=8192)]
    views: Count


class MeshSettings(Section):
    """The mesh of a density field, by marching cubes on `resolution`³.

    Its `surface` is where the field's own depths in `views` views meet (`depths`, see `reconstruct.field_depths`), or
    where a `density` is reached, after a Gaussian of `smooth_voxels`. There `levels` are tried in order until the
    mesh's silhouette reaches `enough_iou` with the input's. High levels give tight shapes, possibly with holes. Parts
    with fewer voxels than `keep_fraction` of the largest part are dropped. Edges are then collapsed until about `faces`
    faces are left, and the mesh gets its `texture`. It is written as GLB, and in the formats `also`.
    """

    surface: Literal["density", "depths"]
    views: Count
    resolution: Annotated[int, Field(ge=8, le=512)]
    levels: Annotated[tuple[Positive, ...], Field(min_length=1)]
    enough_iou: Fraction
    smooth_voxels: NotNegative
    keep_fraction: Fraction
    faces: Annotated[int, Field(ge=100)]
    texture: TextureSettings
    also: tuple[MeshFormat, ...]


class SweepSettings(Section):
    """The opening of hollows by plane sweep, on a grid of `resolution`³; see `reconstruct.depth_maps`.

    Each view is compared with its `neighbours` nearest, on `planes` depths, by the mean of the `best`. An entry with a
    disagreement above `inconsistent` is left for a depth with less than `better` times as much. An entry in agreement
    weighs `agreed_weight`, a depth found weighs 1, and `enough_weight` in total moves the surface. `rounds` of 0 leave
    the visual hull. Fused distances are smoothed by a Gaussian of `smooth_cells`, then `checks` undo false openings:
    `silhouettes` those that uncover pixels (`reconstruct.support`), `colours` those whose floor has more than
    `refuted` times the disagreement of their lid (`reconstruct.proof`).
    """

    resolution: Annotated[int, Field(ge=8, le=512)]
    rounds: Annotated[int, Field(ge=0)]
    neighbours: Count
    best: Count
    planes: Annotated[int, Field(ge=4)]
    inconsistent: NotNegative
    better: Fraction
    agreed_weight: Fraction
    enough_weight: NotNegative
    smooth_cells: NotNegative
    checks: tuple[OpeningCheck, ...]
    refuted: NotNegative


class SurfaceSettings(Section):
    """A signed distance field on a grid of `resolution`³, fitted directly to views; see `reconstruct.surface`.

    Parts with fewer cells than `keep_fraction` of the largest part are dropped.
    """

    resolution: Annotated[int, Field(ge=8, le=512)]
    keep_fraction: Fraction
    sweep: SweepSettings


class SampledViewsSettings(Section):
    """The method `views`: the model samples the views of a `rig`, and a surface is fitted to their silhouettes.

    At each cell up to `outvoted` views may be wrong; distances are smoothed by a Gaussian of `smooth_cells`.
    """

    rig: str
    outvoted: Annotated[int, Field(ge=0)]
    smooth_cells: NotNegative


class TurntableSettings(Section):
    """The pictures of the finished mesh, during a turn.

    They are drawn `quick`, by our rasteriser, or by Blender's `cycles`, with the `passes` beside them, and written as
    `films`.
    """

    frames: Count
    hw: tuple[Count, Count]
    elevation_deg: Annotated[float, Field(gt=-90, lt=90)]
    radius: Positive
    renderer: Literal["quick", "cycles"]
    passes: tuple[TurntablePass, ...]
    films: tuple[Film, ...]


class ReconstructSettings(Section):
    """All settings for reconstructing a mesh from one view.

    `method` is `views`, a surface fitted to sampled views, or `score`, a density field optimised with the score.
    """

    method: Literal["views", "score"]
    lens: LensSettings
    field: FieldSettings
    stages: Annotated[tuple[StageSettings, ...], Field(min_length=1)]
    samples_per_ray: Count
    input_rays: Count
    score: ScoreSettings
    weights: WeightSettings
    rates: RateSettings
    surface: SurfaceSettings
    views: SampledViewsSettings
    mesh: MeshSettings
    turntable: TurntableSettings

    @model_validator(mode="after")
    def _latents_have_a_score_in_latents(self) -> Self:
        if self.field.space == "latents" and self.score.space != "latents":
            raise ValueError(f"score.space latents for field.space latents, got {self.score.space}")
        return self
