"""The loss: the mean squared error of ε or v (arXiv 2303.11328, equation 1; v: arXiv 2202.00512).

A decoder is not linear: the mean of latents, the best answer to pure noise, decodes to a worse picture than can be
had. `picture_errors` therefore also compares pictures, where a model answers pure noise.

A new loss, or a new term of it, belongs in `pair_losses`, with its settings in `train.settings.TrainSettings`. It must
give a value for each pair: the sums by timestep and the names of the worst pairs come from these values.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from train.batch import Batch
from train.draws import Draws
from train.settings import TrainSettings
from zero123.conditioning import Conditioning, Dropout
from zero123.latents import image_from_latent
from zero123.model import trained_parts
from zero123.pipeline import Zero123Pipeline
from zero123.schedule import Prediction, add_noise, clean_and_noise, target_of


class Objective(nn.Module):
    """The loss of each pair as a module, the form that DistributedDataParallel wraps."""

    def __init__(self, pipeline: Zero123Pipeline, settings: TrainSettings) -> None:
        super().__init__()
        self.parts = nn.ModuleDict(trained_parts(pipeline))
        # The pipeline is no module of its own, so its frozen encoders do not become part of the wrapped module.
        self.pipeline, self.settings = pipeline, settings

    def forward(self, batch: Batch, draws: Draws) -> Tensor:
        """See `pair_losses`."""
        return pair_losses(self.pipeline, batch, draws, self.settings)


def pair_losses(pipeline: Zero123Pipeline, batch: Batch, draws: Draws, settings: TrainSettings) -> Float[Tensor, " N"]:
    """Compute the loss of each pair, averaged over the values of its latents."""
    schedule = pipeline.schedule
    alpha, sigma = schedule.alpha_sigma(batch.timesteps)
    noise = offset_noise(draws, settings.noise_offset)
    noisy = add_noise(batch.target, noise, alpha, sigma)
    wanted = target_of(batch.target, noise, alpha, sigma, schedule.prediction)
    conditioning = apply_dropout(pipeline, batch, Dropout(**settings.dropout.model_dump()), draws.drop)
    answer = pipeline.predict(noisy, batch.timesteps, conditioning)
    # In float32: bfloat16 would round the squares of small errors.
    each = torch.mean((answer.float() - wanted) ** 2, dim=(1, 2, 3))
    if settings.min_snr_gamma is not None:
        each = each * min_snr_weight(alpha, sigma, settings.min_snr_gamma, schedule.prediction)
    if settings.picture_loss and batch.pictures is not None:
        each = each + settings.picture_loss.weight * picture_errors(pipeline, batch, noisy, answer)
    return each


def picture_errors(pipeline: Zero123Pipeline, batch: Batch, noisy: Tensor, answer: Tensor) -> Float[Tensor, " N"]:
    """Compute the mean squared error of each decoded answer at the last timestep; 0 for pairs at other timesteps.

    Pictures are in [−1, 1] and not clamped.
    """
    schedule, errors = pipeline.schedule, torch.zeros(len(batch.timesteps), device=answer.device)
    last = schedule.is_last(batch.timesteps)
    # Without this, a batch that has no such pair would ask the decoder for no picture.
    if batch.pictures is None or not len(batch.pictures):
        return errors
    alpha, sigma = schedule.alpha_sigma(batch.timesteps[last])
    clean, _ = clean_and_noise(answer[last], noisy[last], alpha, sigma, schedule.prediction)
    decoded = image_from_latent(pipeline.vae, clean)
    return errors.masked_scatter(last, torch.mean((decoded.float() - batch.pictures) ** 2, dim=(1, 2, 3)))


def apply_dropout(pipeline: Zero123Pipeline, batch: Batch, dropout: Dropout, uniform: Tensor) -> Conditioning:
    """Make the batch's condition, with parts of it set to zero by `dropout` and the draws `uniform`."""
    keeps_context, keeps_latents = (keep.to(batch.condition) for keep in dropout.kept(uniform))
    embedding = batch.embedding
    if embedding is None:
        embedding = pipeline.embedding(batch.images, batch.condition)
    if dropout.where == "embedding":
        embedding = embedding * keeps_context[:, None, None]
    context = pipeline.cc_projection(embedding, batch.pose)
    if dropout.where == "context":
        context = context * keeps_context[:, None, None]
    return Conditioning(context, batch.condition * keeps_latents[:, None, None, None])


def offset_noise(draws: Draws, strength: float) -> Float[Tensor, "N C h w"]:
    """Make the noise, with each channel shifted as a whole by `strength` times a normal draw.

    The shift teaches a network to change the brightness of whole pictures. Plain noise hardly affects it.
    """
    return draws.noise if strength == 0.0 else draws.noise + strength * draws.offset[:, :, None, None]


def min_snr_weight(alpha: Tensor, sigma: Tensor, gamma: float, prediction: Prediction) -> Tensor:
    """Return the weight that makes a loss min(SNR, γ) times the loss of x_0 (arXiv 2303.09556), with SNR = α²/σ².

    It is min(SNR, γ)/SNR for ε and min(SNR, γ)/(SNR + 1) for v. Pure noise, with SNR 0, keeps the weight 1.
    """
    signal, noise = alpha**2, sigma**2
    if prediction == "epsilon":
        return torch.clamp(gamma * noise / signal, max=1.0)
    # With zero-terminal SNR the last timestep is pure noise; the formula would give it no weight.
    return torch.where(signal == 0.0, 1.0, torch.minimum(signal, gamma * noise))


def sum_by_timestep(
    each: Float[Tensor, " N"], timesteps: Int[Tensor, " N"], count: int, buckets: int
) -> tuple[Float[Tensor, " B"], Float[Tensor, " B"]]:
    """Sum and count the losses by `buckets` equal parts of `count` timesteps, clean first."""
    which = timesteps * buckets // count
    empty = torch.zeros(buckets, device=each.device)
    return empty.index_add(0, which, each), empty.index_add(0, which, torch.ones_like(each))
