"""Sampling, paired in one run: ours against plain loops over diffusers' modules, on the same weights and start noise.

python -m bench.sample [--size NAME] [--views N] [--rounds N] [--device NAME] [--threads N] [--set KEY=VALUE]
                       [--quality MODEL --photo FILE] [--json FILE]

(a) `plain`: the photo is encoded once, one batch of both halves of guidance for all views, diffusers' attention and
scheduler. (b) `community`: as the community's pipeline works, each view by itself: encode the photo, a batch of two
rows a step, decode. Parts are timed in turns, in CPU seconds of this process on a CPU and in seconds on an accelerator.
A row's total is encoding + evaluations × one evaluation + decoding, since all evaluations cost the same.

With another precision than float32 the pictures of both are compared, from the same noise. Random weights say little
about pictures; --quality says the same of a trained model.

--quality takes a trained model and a photo, and says how near each sampler comes to 500 steps of DDIM from the
same noise.
"""

import argparse
import copy
import json
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler
from diffusers.models.attention_processor import AttnProcessor2_0
from PIL import Image
from torch import Tensor

from app.settings import load_settings
from base.versions import machine, versions
from evaluation.table import markdown_table
from geometry.relative import pose_from_deltas
from zero123.conditioning import Conditioning, join
from zero123.denoiser import Denoiser
from zero123.latents import condition_latent, image_from_latent
from zero123.model import Zero123Model
from zero123.picture import rgba_of
from zero123.pipeline import Zero123Pipeline
from zero123.samplers import sample_latents
from zero123.sampling import apply_guidance, generators_for, noise_rows
from zero123.settings import SamplingSettings

SIZES = {
    "small": {"channels": [32, 64, 128, 128], "context": 64, "heads": 4},
    "bench": {"channels": [128, 224, 320, 320], "context": 768, "heads": 8},
    "paper": {"channels": [320, 640, 1280, 1280], "context": 768, "heads": 8},
}
"""UNets with the paper's layers; `bench` has more than 50 M parameters."""
EVALUATIONS = 50
FEW = 20
GUIDANCE = 3.0
AT = 501
REFERENCE_STEPS = 500
COMPARED = [
    *(("ddim", steps, spacing) for steps in (20, 50) for spacing in ("all", "quadratic")),
    *((name, 20, "all") for name in ("unipc", "dpmsolver++")),
    *((name, steps, "quadratic") for name in ("unipc", "dpmsolver++") for steps in (10, 15, 20, 30)),
]
"""Sampler, steps and timesteps, against REFERENCE_STEPS of DDIM."""


@dataclass
class Part:
    """A part of a method's work, and its seconds in each round."""

    name: str
    work: Callable[[], Any]
    seconds: list[float]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="bench", help="of the UNet, random weights (default: bench)")
    parser.add_argument("--views", type=int, default=8, metavar="N", help="moves of a photo (default: 8)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="CPU threads (default: 1)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of sample.compute, for ours")
    parser.add_argument("--quality", metavar="MODEL", help="compare samplers by a trained model: a folder or a name")
    parser.add_argument("--photo", type=Path, metavar="FILE", help="for --quality")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    facts = measure_quality(options) if options.quality else measure_speed(options)
    if options.json:
        arguments = {key: str(value) for key, value in vars(options).items()}
        about = {"machine": machine(), "versions": versions(), "arguments": arguments}
        options.json.write_text(json.dumps({**facts, **about}, indent=2) + "\n")
    return 0


def measure_speed(options: argparse.Namespace) -> dict[str, Any]:
    compute = load_settings(None, ["paper"], options.set).sample.compute
    plain = random_model(options.size).to(options.device)
    ours = Zero123Pipeline.of(copy.deepcopy(plain))
    # Another copy of the weights only where it is compared: it counts for the peak memory.
    exact = Zero123Pipeline.of(copy.deepcopy(plain)) if compute.precision != "fp32" else None
    # Undoes our own attention, which every new model has.
    plain.unet.set_attn_processor(AttnProcessor2_0())
    ours.prepare(compute, options.device)
    rgba, poses, start = inputs(ours, options.views)
    with torch.no_grad():
        parts = parts_of(plain, ours, rgba, poses, start)
        # Both sides must answer alike, or their speeds cannot be compared.
        error = relative_difference(parts)
        for _ in range(options.rounds):
            # In turns, so that a slow moment of the machine falls on all.
            for part in parts.values():
                part.seconds.append(seconds_of(part.work, options.device))
    near = decibels_apart(ours, exact, rgba, poses) if exact is not None else None
    cost = {name: statistics.median(part.seconds) for name, part in parts.items()}
    views, totals = options.views, totals_of(cost, options.views)
    # Ratios within a round cancel the machine's speed at that moment.
    steps = [p / o for p, o in zip(parts["plain step"].seconds, parts["our step"].seconds, strict=True)]
    rows = [[name, f"{total:.2f}", f"{total / views:.3f}", f"{totals['ours, 50 DDIM'] / total:.2f}"]
            for name, total in totals.items()]  # fmt: skip
    parameters = sum(parameter.numel() for parameter in plain.unet.parameters())
    print(f"UNet of {parameters / 1e6:.0f} M parameters, {views} moves of a photo, answers {error:.1e} apart")
    print(markdown_table(["", "seconds", "a view", "of ours, 50 DDIM"], rows))
    print(f"one evaluation: {statistics.median(steps):.3f} × plain's speed ({min(steps):.3f} … {max(steps):.3f})")
    print(f"(a) equal steps: {totals['plain, 50 DDIM'] / totals['ours, 50 DDIM']:.2f} ×")
    print(f"(b) {FEW} steps of UniPC: {totals['community, 50 DDIM'] / totals['ours, 20 UniPC']:.2f} ×")
    if near is not None:
        print(f"pictures in {compute.precision}, {FEW} steps of UniPC: {near:.1f} dB from float32's")
    print(f"peak memory: {peak_mb(options.device):,.0f} MB")
    return {"parameters": parameters, "parts": cost, "totals": totals, "step_ratio": steps, "difference": error,
            "near_db": near, "peak_mb": peak_mb(options.device)}  # fmt: skip


def decibels_apart(
    ours: Zero123Pipeline, exact: Zero123Pipeline, rgba: np.ndarray, poses: np.ndarray, scale: float = GUIDANCE
) -> float:
    """Mean PSNR between the pictures of two models with the same weights, for the same noise."""
    few = {"steps": FEW, "sampler": "unipc", "eta": 0.0, "timesteps": "quadratic", "guidance_scale": scale}
    first, second = (one.views(rgba, poses, seeds=range(len(poses)), **few) for one in (ours, exact))
    return decibels(first, second.astype(float))


def decibels(pictures: np.ndarray, reference: np.ndarray) -> float:
    """The mean PSNR of pictures against a reference, a picture each."""
    error = ((pictures - reference) ** 2).mean(axis=(1, 2, 3))
    return float(np.mean(10.0 * np.log10(255.0**2 / np.maximum(error, 1e-6))))


def totals_of(cost: dict[str, float], views: int) -> dict[str, float]:
    """Seconds for all views by each way, from its parts."""
    ends = cost["encode"] + cost["decode"]
    return {
        "plain, 50 DDIM": ends + EVALUATIONS * cost["plain step"],
        "community, 50 DDIM": views * (cost["encode"] + EVALUATIONS * cost["community step"] + cost["decode one"]),
        "ours, 50 DDIM": cost["our encode"] + EVALUATIONS * cost["our step"] + cost["our decode"],
        "ours, 20 UniPC": cost["our encode"] + FEW * cost["our step"] + cost["our decode"],
    }


def parts_of(
    plain: Zero123Model, ours: Zero123Pipeline, rgba: np.ndarray, poses: np.ndarray, start: Tensor
) -> dict[str, Part]:
    """Every part, ready to be timed."""
    conditioning = plain.condition(rgba[None], poses)
    both = join(conditioning, plain.null(conditioning))
    alone = join(conditioning.select([0]), plain.null(conditioning.select([0])))
    scheduler = DDIMScheduler(**plain.scheduler.config)
    scheduler.set_timesteps(EVALUATIONS)
    sampling = ours.sampling_with(steps=EVALUATIONS, eta=0.0, guidance_scale=GUIDANCE, timesteps="all")
    denoiser = Denoiser(ours, ours.condition(rgba[None], poses), sampling)
    ready = denoiser.ready()
    ready.__enter__()  # for the whole run: what it computes is once a batch of views
    works = {
        "encode": lambda: plain_encode(plain, rgba),
        "our encode": lambda: ours.encode(rgba[None]),
        "plain step": lambda: plain_step(plain, scheduler, start, both),
        "our step": lambda: denoiser(start, AT),
        "community step": lambda: plain_step(plain, scheduler, start[:1], alone),
        "decode": lambda: image_from_latent(plain.vae, start),
        "our decode": lambda: ours.decode(start),
        "decode one": lambda: image_from_latent(plain.vae, start[:1]),
    }
    return {name: Part(name, work, []) for name, work in works.items()}


def plain_encode(model: Zero123Model, rgba: np.ndarray) -> tuple[Tensor, Tensor]:
    images = model.images(rgba[None])
    latents = condition_latent(model.vae, images)
    return model.embedding(images, latents), latents


def plain_step(model: Zero123Model, scheduler: DDIMScheduler, latents: Tensor, both: Conditioning) -> Tensor:
    """A step of a plain loop: the prediction, with guidance."""
    joint = torch.cat([torch.cat([latents, latents]), both.latents], dim=1)
    answer = model.unet(joint, AT, encoder_hidden_states=both.context).sample
    told, untold = answer.chunk(2)
    noise: Tensor = apply_guidance(told, untold, GUIDANCE)
    scheduler.step(noise, AT, latents, eta=0.0)
    return noise


def relative_difference(parts: dict[str, Part]) -> float:
    """The largest difference of a guided answer, as a share of its largest number; this also warms both up."""
    plain, ours = parts["plain step"].work(), parts["our step"].work()
    return float((plain - ours).abs().max() / plain.abs().max())


def seconds_of(work: Callable[[], Any], device: str) -> float:
    if device == "cpu":
        began = time.process_time()
        work()
        return time.process_time() - began
    # Kernels run asynchronously: without waiting, only their launch would be timed.
    torch.cuda.synchronize()
    began = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - began


def peak_mb(device: str) -> float:
    if device == "cpu":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return torch.cuda.max_memory_allocated() / 2**20


def random_model(size: str) -> Zero123Pipeline:
    """A model with TAESD and a small image encoder around a UNet with the paper's layers; random weights."""
    from zero123.build import build_pipeline

    unet = SIZES[size]
    words = [f"model.unet.{key}={value}" for key, value in unet.items()]
    small = ["model.weights=null", "model.weights_revision=null", "model.autoencoder=taesd",
             "model.image_encoder={kind: latents, tokens: one, embedding: 64, channels: [32, 64]}"]  # fmt: skip
    model = build_pipeline(load_settings(None, ["paper"], [*small, *words]).model, 0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        weight = model.unet.conv_out.weight
        # A new UNet answers 0 everywhere, and equal zeros would prove nothing.
        weight.copy_(0.05 * torch.randn(weight.shape, generator=generator))
    return model


def inputs(model: Zero123Model, views: int) -> tuple[np.ndarray, np.ndarray, Tensor]:
    rgba = np.random.default_rng(0).integers(0, 256, (*model.hw, 4), np.uint8)
    return rgba, moves(views), noise_rows(model.latent_shape, generators_for(range(views))).to(model.device)


def moves(views: int) -> np.ndarray:
    angles = np.linspace(0.0, 2.0 * np.pi, views, endpoint=False)
    return pose_from_deltas(0.3 * np.sin(angles), angles + 0.3, 0.0)


def measure_quality(options: argparse.Namespace) -> dict[str, Any]:
    model = Zero123Pipeline.from_pretrained(options.quality, options.device)
    rgba = rgba_of(Image.open(options.photo), model.hw)
    poses = model.adapt_poses(moves(options.views), np.pi / 2)
    conditioning = model.condition(rgba[None], poses)
    start = noise_rows(model.latent_shape, generators_for(range(options.views))).to(model.device)
    scale = model.defaults.guidance_scale

    def pictures(sampler: str, steps: int, spacing: str = "all") -> np.ndarray:
        changes = {"sampler": sampler, "steps": steps, "eta": 0.0, "timesteps": spacing, "guidance_scale": scale}
        sampling: SamplingSettings = model.sampling_with(**changes)
        with torch.no_grad(), Denoiser(model, conditioning, sampling).ready() as predict:
            return model.decode(sample_latents(predict, model.schedule, start, sampling, lambda: start))

    reference = pictures("ddim", REFERENCE_STEPS).astype(float)
    rows, facts = [], {}
    for sampler, steps, spacing in COMPARED:
        name = f"{sampler} {steps} {spacing}"
        facts[name] = decibels(pictures(sampler, steps, spacing), reference)
        rows.append([sampler, str(steps), spacing, f"{facts[name]:.2f}"])
    print(f"dB from {REFERENCE_STEPS} steps of DDIM, guidance {scale:g}, mean of {options.views} views")
    print(markdown_table(["sampler", "steps", "timesteps", "dB"], rows))
    half = Zero123Pipeline.of(copy.deepcopy(model))
    half.prepare(load_settings(None, (), ["sample.compute.precision=bf16"]).sample.compute, options.device)
    near = {scale: decibels_apart(half, model, rgba, poses, scale) for scale in (1.0, GUIDANCE)}
    words = ", ".join(f"{value:.1f} dB at guidance {scale:g}" for scale, value in near.items())
    print(f"bf16 from float32, {FEW} steps of UniPC: {words}")
    return {"psnr_db": facts, "bf16_db": near}


if __name__ == "__main__":
    raise SystemExit(main())
