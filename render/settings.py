"""Settings of rendering: every value that changes a pixel, and the limits of the child process."""

from dataclasses import asdict
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PositiveFloat, PositiveInt, model_validator

from base.data_files import read_named
from base.lens_settings import LensSettings
from base.passes import Pass
from base.settings import Section
from geometry.camera import Lens, Orthographic
from geometry.rig import RIGS, Rig

Range = tuple[float, float]
"""Lowest and highest value of a uniform draw."""

Device = Literal["auto", "CPU", "CUDA", "OPTIX", "HIP", "METAL", "ONEAPI"]
Check = Literal["transparent", "blank", "single_colour", "touches_border", "not_finite"]
Edge = Annotated[int, Field(ge=16, le=4096)]
SAME_FOV_RAD = 1e-4
Bounces = Annotated[int, Field(ge=0, le=64)]


def _is_range(value: Range) -> bool:
    return value[0] <= value[1]


def _read_rig(value: Any) -> Any:
    """Read a rig's name or file: what is kept are its cameras, since workers have no such file."""
    return asdict(read_named(Rig, value, RIGS, "render.rig")) if isinstance(value, str) else value


RenderRig = Annotated[Rig | None, BeforeValidator(_read_rig)]


class LampSettings(Section):
    """A lamp with uniform draws for every object: each coordinate and the strength within their ranges."""

    kind: Literal["area", "point", "sun"]
    x: Range
    y: Range
    z: Range
    aim: Literal["origin", "down"]
    size: PositiveFloat
    strength: Range

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        for name in ("x", "y", "z", "strength"):
            if not _is_range(getattr(self, name)):
                raise ValueError(f"{name} as [lowest, highest]")
        if self.strength[0] < 0.0:
            raise ValueError("strength of 0 or more")
        return self


class RigSettings(Section):
    """Lights of an object: lamps, and a surrounding world of equal radiance `world` from all directions.

    With `maps`, a folder of .hdr or .exr files, the world shows one of them, drawn and turned for each object, and
    `world` multiplies it.
    """

    lamps: tuple[LampSettings, ...]
    world: Annotated[float, Field(ge=0.0)]
    maps: str | None = None


class BounceSettings(Section):
    """The most bounces of a light path, in total and by kind."""

    total: Bounces
    diffuse: Bounces
    glossy: Bounces
    transmission: Bounces
    transparent: Bounces


class DenoiseSettings(Section):
    """Open Image Denoise, with albedo and normals as guides."""

    enabled: bool
    quality: Literal["HIGH", "BALANCED", "FAST"]
    prefilter: Literal["NONE", "FAST", "ACCURATE"]


class NeutralSettings(Section):
    """The grey material of faces without a material: linear reflectance and roughness."""

    grey: Annotated[float, Field(ge=0.0, le=1.0)]
    roughness: Annotated[float, Field(ge=0.0, le=1.0)]


class ChecksSettings(Section):
    """The limits for the checks of a view, and the checks for a bad view.

    `blank_coverage` is the highest mean alpha of a blank view. `single_colour_range` is the largest difference, of 255,
    between colours counted as the same. `border_share` is the largest covered share of the frame's edge without
    touching.
    """

    blank_coverage: Annotated[float, Field(ge=0.0, lt=1.0)]
    single_colour_range: Annotated[int, Field(ge=0, le=255)]
    border_share: Annotated[float, Field(ge=0.0, lt=1.0)]
    bad: tuple[Check, ...]


class ChildSettings(Section):
    """Limits of the Blender child process, without effect on pictures."""

    threads: PositiveInt
    start_timeout_s: PositiveFloat
    import_timeout_s: PositiveFloat
    view_timeout_s: PositiveFloat
    memory_mb: PositiveInt
    recycle_after: PositiveInt
    recycle_above_mb: PositiveInt


class RenderSettings(Section):
    """How an object becomes views; see `pipeline.yaml` for what each value means in pictures."""

    hw: tuple[Edge, Edge]
    views: Annotated[int, Field(ge=2, le=999)]
    camera_sampling: Literal["sphere", "cube", "rig"]
    rig: RenderRig
    framing: Literal["radius", "whole"]
    radius: Range
    lens: LensSettings
    light: str
    lights: dict[str, RigSettings]
    samples: Annotated[int, Field(ge=1, le=1 << 16)]
    adaptive_threshold: Annotated[float, Field(ge=0.0, lt=1.0)]
    clamp_indirect: Annotated[float, Field(ge=0.0)]
    light_tree: bool
    bounces: BounceSettings
    object_rectangle: bool
    filter_width_px: Annotated[float, Field(ge=0.01, le=10.0)]
    denoise: DenoiseSettings
    view_transform: Literal["Standard", "Filmic", "AgX", "Khronos PBR Neutral", "Raw"]
    exposure: float
    alpha: Literal["soft", "hard"]
    pose: Literal["first_frame", "rest"]
    merge_vertices: bool
    backfaces: Literal["culled", "shown"]
    coincident_faces: Literal["parted", "kept"]
    bounds: Literal["seen", "all"]
    importer_quirks: Literal["mended", "kept"]
    neutral: NeutralSettings
    checks: ChecksSettings
    max_bad_views: Annotated[int, Field(ge=0)]
    missing_pictures: Literal["leave_out", "render"]
    passes: tuple[Pass, ...]
    compat: str
    device: Device
    child: ChildSettings

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.light not in self.lights:
            raise ValueError(f"light to be any of {', '.join(sorted(self.lights))}")
        if not (_is_range(self.radius) and self.radius[0] > 0.0):
            raise ValueError("radius as [nearest, farthest], both above 0")
        # A pair needs two good views.
        if self.max_bad_views > self.views - 2:
            raise ValueError(f"max_bad_views of at most {self.views - 2}: {self.views} views, two of them good")
        if len(set(self.passes)) < len(self.passes):
            raise ValueError("passes to name each once")
        return self

    @model_validator(mode="after")
    def _fits_rig(self) -> Self:
        rig = self.rig
        if (rig is None) != (self.camera_sampling != "rig"):
            raise ValueError("a rig with camera_sampling rig, and with no other")
        if rig is None:
            return self
        if rig.relative and rig.reference is None:
            raise ValueError("a rig with a reference, which its relative coordinates count from")
        if len(rig.cameras) != self.views:
            raise ValueError(f"views of {len(rig.cameras)}, as many as the rig has cameras")
        if self.framing != "radius":
            raise ValueError("framing radius with a rig, which has distances of its own")
        own = Lens(**self.lens.model_dump())
        for lens in map(rig.lens, range(self.views)):
            if isinstance(lens, Orthographic):
                raise ValueError("a rig of perspective cameras")
            # A record of views has a single lens.
            if rig.has_lens and abs(lens.fov_rad - own.fov_rad) > SAME_FOV_RAD:
                raise ValueError(f"the lens of the rig's cameras, {{focal_mm: {lens.focal_mm:.4f}, sensor_mm: 32.0}}")
        return self

    @property
    def chosen_lights(self) -> RigSettings:
        """The lights of the name `light`."""
        return self.lights[self.light]
