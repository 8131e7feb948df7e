"""The settings of the model and of sampling."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from base.settings import Section

Count = Annotated[int, Field(ge=1, le=65_536)]


class UNetSettings(Section):
    """The denoiser: `channels` a level, whether each level attends, attention `heads`, residual layers a level.

    `context` is the width of a context token. `context_in_time` also adds their mean to the timestep's embedding, seen
    by every residual layer; Stable Diffusion's network has no such path.
    """

    channels: Annotated[tuple[Count, ...], Field(min_length=2, max_length=6)]
    attention: tuple[bool, ...]
    layers: Count
    heads: Count
    norm_groups: Count
    context: Count
    context_in_time: bool

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.attention) != len(self.channels):
            raise ValueError(f"one entry of attention for each of the {len(self.channels)} channels")
        if any(channels % self.norm_groups or channels % self.heads for channels in self.channels):
            raise ValueError("channels that norm_groups and heads divide")
        return self


class ImageEncoderSettings(Section):
    """What turns the input view into context tokens: `one` vector of `embedding` numbers, or one for each of `patches`.

    `clip` is CLIP ViT-L/14's frozen vision tower on pixels; `latents` is a small convolutional network, trained along.
    It reads the input's latents and halves their size once for each entry of `channels`.
    """

    kind: Literal["clip", "latents"]
    tokens: Literal["one", "patches"]
    embedding: Count
    channels: tuple[Count, ...]


class ModelSettings(Section):
    """The model: what it is made of, what it starts from, and what it predicts.

    `weights` is a local folder or hub id of Stable Diffusion image variations in diffusers' layout, null for random
    weights. `pose_slot4` says what the pose's fourth number means: the radius difference, or the input's absolute polar
    angle as in Stable Zero123. `latent_origin` is what the UNet takes for nothing: `zero` latents, as the original, or
    a `white` picture's: a small network then need not learn the background.
    """

    hw: tuple[
        Annotated[int, Field(ge=32, le=1024, multiple_of=8)], Annotated[int, Field(ge=32, le=1024, multiple_of=8)]
    ]
    weights: str | None
    weights_revision: str | None
    autoencoder: Literal["sd", "taesd"]
    image_encoder: ImageEncoderSettings
    unet: UNetSettings
    prediction: Literal["epsilon", "v_prediction"]
    zero_terminal_snr: bool
    timestep_spacing: Literal["leading", "trailing"]
    pose_slot4: Literal["radius_difference", "input_polar"]
    latent_origin: Literal["zero", "white"]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.zero_terminal_snr and self.prediction == "epsilon":
            raise ValueError("prediction v_prediction with zero_terminal_snr: pure noise says nothing about ε")
        # The autoencoder divides by 8, and each level but the last halves once more.
        halvings = len(self.unet.channels) - 1
        if self.image_encoder.kind == "latents":
            halvings = max(halvings, len(self.image_encoder.channels))
        if any(side % (8 << halvings) for side in self.hw):
            raise ValueError(f"hw in multiples of {8 << halvings}, which the network halves {halvings} times")
        return self


class SamplingSettings(Section):
    """How a view is made from noise; a checkpoint carries these values as its defaults.

    `sampler` is DDIM, or a second-order solver of the same equation with fewer `steps`: `unipc` (arXiv 2302.04867) or
    `dpmsolver++` (arXiv 2211.01095). `eta` is the share of fresh noise in DDIM's steps (arXiv 2010.02502), 0 for a
    deterministic path. `guidance_scale` 1 asks the network once a step instead of twice; `guidance_interval` limits
    guidance to these fractions of the schedule's timesteps (arXiv 2404.07724). `timesteps` are `all` of
    the schedule's, as many crowded at its clean end (`quadratic`), or the `original` program's, without the noisiest
    (see zero123.schedule).
    """

    guidance_scale: Annotated[float, Field(ge=0.0, le=100.0)]
    guidance_interval: tuple[Annotated[float, Field(ge=0.0, le=1.0)], Annotated[float, Field(ge=0.0, le=1.0)]]
    steps: Annotated[int, Field(ge=1, le=1000)]
    eta: Annotated[float, Field(ge=0.0, le=1.0)]
    sampler: Literal["ddim", "unipc", "dpmsolver++"]
    timesteps: Literal["original", "all", "quadratic"]

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.sampler != "ddim" and self.eta > 0.0:
            raise ValueError(f"eta 0 with sampler {self.sampler}, which adds no noise")
        if self.guidance_interval[0] > self.guidance_interval[1]:
            raise ValueError("guidance_interval with its lower end first")
        if self.timesteps == "original" and self.steps < 2:
            raise ValueError("at least 2 steps with timesteps original, which drops the first")
        return self


class SampleComputeSettings(Section):
    """How the device computes while it samples; pictures change by rounding at most.

    `views_at_once` is the batch, 0 for what fits into free memory. `precision` applies to the networks' weights and
    products; bf16 on a CPU to the UNet's products alone (zero123.half_products). `channels_last`, `offload` (each
    network on the accelerator only while it works) and compile `cuda_graphs` need an accelerator. `tile_px` is the side
    of the decoder's tiles, 0 for a single piece.
    """

    views_at_once: Annotated[int, Field(ge=0, le=4096)]
    precision: Literal["fp32", "fp16", "bf16"]
    channels_last: bool
    compile: Literal["no", "default", "cuda_graphs"]
    offload: bool
    tile_px: Annotated[int, Field(ge=0, le=4096, multiple_of=8)]


class SampleSettings(SamplingSettings):
    """The section `sample`: how views are made, and how the device computes meanwhile."""

    compute: SampleComputeSettings

    def sampling(self) -> SamplingSettings:
        """Return the model's part of the settings, without the machine's."""
        return SamplingSettings.model_validate(self.model_dump(exclude={"compute"}))


class TextSettings(Section):
    """The section `imagine`: how words become the picture of an object, before it is cut out.

    `prompt` is what the text model reads; its `{}` becomes the user's words. `elevation_deg` is the picture camera's
    where the command gives no other.
    """

    prompt: str
    steps: Annotated[int, Field(ge=1, le=1000)]
    guidance_scale: Annotated[float, Field(ge=0.0, le=100.0)]
    elevation_deg: Annotated[float, Field(ge=-90.0, le=90.0)]

    @model_validator(mode="after")
    def _has_a_place(self) -> Self:
        if self.prompt.count("{}") != 1:
            raise ValueError("prompt with one {} for the user's words")
        return self


class ElevationSettings(Section):
    """How the elevation of a photo's camera is estimated; see zero123/elevation.py.

    `candidates_deg` is [first, last, step]. For `agreement`: views after `turns_deg`, compared at `side_px` with
    `depths` distances each. For `noise`: errors at the fractions `noise_at` of the schedule. `steps` and
    `guidance_scale` apply to the views sampled for it.
    """

    method: Literal["agreement", "noise"]
    candidates_deg: tuple[
        Annotated[float, Field(ge=-90.0, le=90.0)],
        Annotated[float, Field(ge=-90.0, le=90.0)],
        Annotated[float, Field(ge=1.0, le=90.0)],
    ]
    turns_deg: Annotated[tuple[Annotated[float, Field(ge=-60.0, le=60.0)], ...], Field(min_length=2, max_length=16)]
    side_px: Annotated[int, Field(ge=16, le=256)]
    depths: Annotated[int, Field(ge=2, le=256)]
    noise_at: Annotated[tuple[Annotated[float, Field(gt=0.0, lt=1.0)], ...], Field(min_length=1, max_length=16)]
    steps: Annotated[int, Field(ge=2, le=1000)]
    guidance_scale: Annotated[float, Field(ge=0.0, le=100.0)]

    @model_validator(mode="after")
    def _has_candidates(self) -> Self:
        first, last, step = self.candidates_deg
        if last < first + 2.0 * step:
            raise ValueError("candidates_deg as [first, last, step] with at least three candidates")
        return self


class PublicModel(Section):
    """A public model: its repository `source`, a `file` in it or the whole folder, and its terms."""

    source: str
    file: str
    layout: Literal["ldm", "kxic", "ashawkey"]
    pose_slot4: Literal["radius_difference", "input_polar"]
    gigabytes: Annotated[float, Field(gt=0)]
    licence: str
    commercial: bool
    page: str
