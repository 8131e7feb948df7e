"""The loss: the mean squared error of ε or v (arXiv 2303.11328, equation 1; v: arXiv 2202.00512)."""

import torch
from torch import Tensor

from train.batch import Batch
from train.draws import Draws, timesteps_from
from zero123.conditioning import Conditioning, Dropout
from zero123.pipeline import Zero123Pipeline
from zero123.schedule import noised, target_of


def dropped(pipeline: Zero123Pipeline, batch: Batch, dropout: Dropout, uniform: Tensor) -> Conditioning:
    """The batch's condition, parts of it zeroed as `dropout` and the draws `uniform` (N,) have it."""
    keeps_context, keeps_latents = (keep.to(batch.condition) for keep in dropout.kept(uniform))
    embedding = pipeline.embedding(batch.images, batch.condition)
    if dropout.where == "embedding":
        embedding = embedding * keeps_context[:, None]
    context = pipeline.cc_projection(embedding, batch.pose)
    if dropout.where == "context":
        context = context * keeps_context[:, None, None]
    return Conditioning(context, batch.condition * keeps_latents[:, None, None, None])


def losses(pipeline: Zero123Pipeline, batch: Batch, draws: Draws, dropout: Dropout, power: float) -> Tensor:
    """The loss of each pair (N,), averaged over its latents' values."""
    schedule = pipeline.schedule
    timesteps = timesteps_from(draws.time, len(schedule.alphas_cumprod), power)
    alpha, sigma = schedule.alpha_sigma(timesteps)
    noise = draws.noise.to(batch.target)
    noisy = noised(batch.target, noise, alpha, sigma)
    wanted = target_of(batch.target, noise, alpha, sigma, schedule.prediction)
    conditioning = dropped(pipeline, batch, dropout, draws.drop)
    answer = pipeline.predict(noisy, timesteps.to(noisy.device), conditioning)
    return torch.mean((answer.float() - wanted) ** 2, dim=(1, 2, 3))
