"""The settings of training. Everything that is counted is counted in images: target views the model has learnt from."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from base.settings import Section
from shards.settings import StreamSettings

Chance = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(ge=1)]
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
    projection_factor: Annotated[float, Field(gt=0.0)]
    warmup_images: Annotated[int, Field(ge=0)]
    decay: Literal["constant", "cosine"]
    betas: tuple[Chance, Chance]
    weight_decay: Annotated[float, Field(ge=0.0)]
    clip_norm: Annotated[float, Field(gt=0.0)] | None


class TrainSettings(Section):
    """How the model learns.

    `batch` images make one step, `images_at_once` of them at a time fit on the device. `mirror` is the chance that a
    pair is seen in a mirror: another object, from mirrored cameras. `timestep_power` p draws timesteps as 1 − u^p of
    the schedule: 1 is uniform, more favours noise. `held_out_views` last views of every object are never drawn.
    `stream` says how the pairs travel. `threads` is the number of CPU threads, 0 for all there are. `keep_checkpoints`
    newest are kept.
    """

    seed: int
    device: str
    threads: Annotated[int, Field(ge=0, le=1024)]
    images: Positive
    batch: Positive
    images_at_once: Positive
    optimiser: OptimiserSettings
    ema_decay: Annotated[float, Field(ge=0.0, lt=1.0)]
    dropout: DropoutSettings
    mirror: Chance
    timestep_power: Annotated[float, Field(ge=1.0, le=10.0)]
    held_out_views: Annotated[int, Field(ge=0)]
    pairs_per_visit: Positive
    stream: StreamSettings
    latent_memo_mb: Annotated[int, Field(ge=0)]
    log_every_images: Positive
    checkpoint_every_images: Positive
    keep_checkpoints: Positive

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.batch % self.images_at_once:
            raise ValueError("a batch that images_at_once divides")
        return self
