"""The settings of training. Everything that is counted is counted in images: target views the model has learnt from."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from base.settings import Section
from shards.settings import StreamSettings

Chance = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(ge=1)]
NotNegative = Annotated[float, Field(ge=0.0)]
Above0 = Annotated[float, Field(gt=0.0)]
Rate = Annotated[float, Field(gt=0.0, le=1.0)]


class DropoutSettings(Section):
    """Classifier-free dropout: see zero123.conditioning.Dropout."""

    context: Chance
    latents: Chance
    both: Chance
    where: Literal["embedding", "context"]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.context + self.latents + self.both > 1.0:
            raise ValueError("chances that add up to at most 1")
        return self


class OptimiserSettings(Section):
    """AdamW: its rate rises over `warmup_images`, then stays or falls to 0 along half a cosine at the last image.

    The projection's rate is `projection_factor` times the others'. `clip_norm` limits the gradient's norm, null never.
    """

    learning_rate: Rate
    projection_factor: Above0
    warmup_images: Annotated[int, Field(ge=0)]
    decay: Literal["constant", "cosine"]
    betas: tuple[Chance, Chance]
    weight_decay: NotNegative
    clip_norm: Above0 | None


class EmaSettings(Section):
    """The average of the weights: its `decay`, and whether the `projection` is averaged too; the original's is not."""

    decay: Annotated[float, Field(ge=0.0, lt=1.0)]
    projection: bool


class ComputeSettings(Section):
    """How the device computes a step; `precision` alone changes what comes out, by rounding.

    `bf16` is autocast over float32 weights, `tf32` shortens float32 products on GPUs that can. `channels_last` and
    `compile` suit GPUs; `gradient_checkpointing` computes activations twice, to hold fewer of them. `ahead` is how many
    parts of a batch are made and copied to the device while it computes.
    """

    precision: Literal["fp32", "tf32", "bf16"]
    channels_last: bool
    compile: bool
    gradient_checkpointing: bool
    ahead: Annotated[int, Field(ge=1, le=64)]


class BadStepSettings(Section):
    """A step whose loss or gradient is no number, or whose gradient explodes: it is skipped and counted.

    A gradient explodes when its norm is above `times_usual` times what is usual (null: none does): the average over the
    steps that were taken, which forgets all but about the last hundred. Before the first of them nothing is usual, and
    every finite gradient passes. `in_a_row` bad steps stop the run.
    """

    times_usual: Annotated[float, Field(gt=1.0)] | None
    in_a_row: Positive


class ValidationSettings(Section):
    """Sampled views against true ones every `every_images` (0: never), always the same: fixed objects, poses and seeds.

    `objects` of split `val`, or of `train` where there is none, each from its first view for `views` of its last ones.
    """

    every_images: Annotated[int, Field(ge=0)]
    objects: Positive
    views: Positive
    guidance_scale: NotNegative
    steps: Annotated[int, Field(ge=1, le=1000)]
    eta: Chance


class LogSettings(Section):
    """Beside `log.jsonl` and `report.html`: whether TensorBoard's files are written, and a project of W&B or null."""

    tensorboard: bool
    wandb: Annotated[str, Field(min_length=1)] | None


class RaySettings(Section):
    """The ranks of `zero123 train --on ray`, what each takes, and how many losses of ranks the run survives."""

    ranks: Positive
    cpus_per_rank: Above0
    gpus_per_rank: NotNegative
    failures: Annotated[int, Field(ge=0)]


class TrainSettings(Section):
    """How the model learns, from `version` of the dataset, 0 for the one that is newest when a run begins.

    `batch` images make one step on all ranks together, `images_at_once` of them at a time fit on a device. `mirror` is
    the chance that a pair is seen in a mirror: another object, from mirrored cameras; `random_background` that it is
    seen on a colour of its own instead of white. `timestep_power` p draws timesteps as 1 − u^p of the schedule: 1 is
    uniform, more favours noise. `min_snr_gamma` and `noise_offset`: see train.loss. `held_out_views` last views of
    every object are never drawn. `stream` says how the pairs travel; with `cached_latents` they are what `zero123
    cache` has made of the views. `threads` is the number of CPU threads, 0 for all there are. `keep_checkpoints` newest
    are kept, and the one that validated best; `upload` is a folder or URL to which they are copied, null for none. A
    rank waits for the others for at most `wait_minutes`.
    """

    version: Annotated[int, Field(ge=0)]
    seed: int
    device: str
    threads: Annotated[int, Field(ge=0, le=1024)]
    images: Positive
    batch: Positive
    images_at_once: Positive
    optimiser: OptimiserSettings
    ema: EmaSettings
    dropout: DropoutSettings
    mirror: Chance
    random_background: Chance
    timestep_power: Annotated[float, Field(ge=1.0, le=10.0)]
    min_snr_gamma: Above0 | None
    noise_offset: Chance
    held_out_views: Annotated[int, Field(ge=0)]
    pairs_per_visit: Positive
    stream: StreamSettings
    cached_latents: bool
    latent_memo_mb: Annotated[int, Field(ge=0)]
    compute: ComputeSettings
    bad_steps: BadStepSettings
    validation: ValidationSettings
    log: LogSettings
    log_every_images: Positive
    checkpoint_every_images: Positive
    keep_checkpoints: Positive
    upload: Annotated[str, Field(min_length=1)] | None
    wait_minutes: Above0
    ray: RaySettings

    @model_validator(mode="after")
    def _shows_what_was_cached(self) -> Self:
        if self.cached_latents and (self.mirror or self.random_background):
            raise ValueError("mirror and random_background 0 with cached_latents, which show each view in one way")
        return self
