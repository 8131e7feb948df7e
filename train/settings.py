"""The settings of training. Progress is counted in images: target views that the model has learnt from."""

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
    def _check_sum(self) -> Self:
        if self.context + self.latents + self.both > 1.0:
            raise ValueError("chances that add up to at most 1")
        return self


class PictureLossSettings(Section):
    """A loss in pixels beside the loss in latents.

    A `share` of the pairs is drawn at the noisiest timestep. Their answer is decoded, and `weight` times the mean
    squared error of the picture, in [−1, 1], is added to their loss.
    """

    share: Annotated[float, Field(gt=0.0, le=1.0)]
    weight: Above0


class OptimiserSettings(Section):
    """AdamW. Its rate rises over `warmup_images`, then stays, or falls along half a cosine to 0 at the last image.

    The projection's rate is higher by `projection_factor`. `clip_norm` limits the gradient's norm; null means no limit.
    """

    learning_rate: Rate
    projection_factor: Above0
    warmup_images: Annotated[int, Field(ge=0)]
    decay: Literal["constant", "cosine"]
    betas: tuple[Chance, Chance]
    weight_decay: NotNegative
    clip_norm: Above0 | None


class LoraSettings(Section):
    """Low-rank adapters instead of the UNet's own weights: see zero123.lora.

    Each layer with a name that ends in one of `targets` gets an adapter of `rank`, scaled by `alpha` / rank.
    """

    rank: Annotated[int, Field(ge=1, le=1024)]
    alpha: Above0
    targets: Annotated[tuple[str, ...], Field(min_length=1)]


class EmaSettings(Section):
    """The average of the weights: its `decay`, and whether it includes the `projection` (the original's does not)."""

    decay: Annotated[float, Field(ge=0.0, lt=1.0)]
    projection: bool


class ComputeSettings(Section):
    """How the device computes a step. Only `precision` changes the results, by rounding.

    `bf16` is autocast over float32 weights. `tf32` shortens float32 products on capable GPUs. `auto` is bf16 where the
    device computes in it, else fp32. `channels_last` and `compile` suit GPUs. `gradient_checkpointing` computes
    activations twice to keep fewer of them. `ahead` parts of a batch are made and copied to the device in advance.
    """

    precision: Literal["auto", "fp32", "tf32", "bf16"]
    channels_last: bool
    compile: bool
    gradient_checkpointing: bool
    ahead: Annotated[int, Field(ge=1, le=64)]


class BadStepSettings(Section):
    """Bad steps, which are skipped and counted: the loss or gradient is not finite, or the gradient explodes.

    A gradient explodes if its norm is above `times_usual` times the average over about the last hundred taken steps.
    With null, and before the first taken step, every finite gradient passes. `in_a_row` bad steps stop the run.
    """

    times_usual: Annotated[float, Field(gt=1.0)] | None
    in_a_row: Positive


class ValidationSettings(Section):
    """Compare sampled with true views every `every_images` (0: never), with fixed objects, poses and seeds.

    `objects` are from split `val`, or from `train` if `val` is empty. Each is sampled from its first view, for `views`
    of its last views.
    """

    every_images: Annotated[int, Field(ge=0)]
    objects: Positive
    views: Positive
    guidance_scale: NotNegative
    steps: Annotated[int, Field(ge=1, le=1000)]
    eta: Chance


class LogSettings(Section):
    """Logs beside `log.jsonl` and `report.html`: TensorBoard's files, and a project of Weights & Biases or null."""

    tensorboard: bool
    wandb: Annotated[str, Field(min_length=1)] | None


class RaySettings(Section):
    """The ranks of `zero123 train --on ray`, the resources of each, and how many losses of ranks the run survives."""

    ranks: Positive
    cpus_per_rank: Above0
    gpus_per_rank: NotNegative
    failures: Annotated[int, Field(ge=0)]


class TrainSettings(Section):
    """How the model learns from `version` of the dataset; 0 means the newest version when the run begins.

    `init` names the model whose weights a run begins with, as `--model` does; null draws the weights of `model` anew.
    With `lora`, adapters on its UNet are trained, and its own weights are frozen.
    A step has `batch` images on all ranks together, and a device computes `images_at_once` of them at a time. `mirror`
    is the probability of a mirrored pair, which shows another object. `random_background` is the probability of a
    random colour behind a pair instead of white. `timestep_power` p draws timesteps as 1 − u^p of the schedule: 1 is
    uniform, more favours noise. `picture_loss`, `min_snr_gamma` and `noise_offset`: see train.loss. The last
    `held_out_views` views of every object are never drawn. `stream`: see shards.settings. With `cached_latents` the
    pairs are latents of `zero123 cache`. `threads` is the number of CPU threads, 0 for all. The `keep_checkpoints`
    newest checkpoints are kept, and the best by validation. They are copied to `upload`, a folder or URL, null for no
    copy. A rank waits for the others for at most `wait_minutes`.
    """

    version: Annotated[int, Field(ge=0)]
    init: Annotated[str, Field(min_length=1)] | None
    lora: LoraSettings | None
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
    picture_loss: PictureLossSettings | None
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
    def _adapters_have_a_base(self) -> Self:
        if self.lora and self.init is None:
            raise ValueError("init with lora: adapters belong to the weights of a model")
        return self

    @model_validator(mode="after")
    def _cache_has_no_changes(self) -> Self:
        if self.cached_latents and (self.mirror or self.random_background):
            raise ValueError("mirror and random_background 0 with cached_latents, which show each view in the same way")
        if self.cached_latents and self.picture_loss:
            raise ValueError("cached_latents false with picture_loss, which needs the pictures")
        return self
