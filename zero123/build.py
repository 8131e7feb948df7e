"""A fresh model as the settings describe it: random, or starting from Stable Diffusion image variations."""

from typing import Any

import torch
from diffusers import AutoencoderTiny, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPVisionModelWithProjection

from base.errors import UsageError
from base.seeds import stable_seed
from zero123.encoders import FrozenEncoders
from zero123.image_encoder import ImageEncoder, LatentEncoder
from zero123.latents import Autoencoder
from zero123.modules import new_image_encoder, new_sd_vae, new_unet, unet_config, widen_conv_in
from zero123.pipeline import Zero123Pipeline
from zero123.projection import CCProjection
from zero123.public import locate_model, open_located
from zero123.references import Reference, base_part, base_reference, taesd_reference
from zero123.schedule import scheduler_config
from zero123.settings import ModelSettings
from zero123.taesd import load_taesd


def build_pipeline(settings: ModelSettings, seed: int) -> Zero123Pipeline:
    """An untrained model; the same seed draws the same weights, independent of earlier draws."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stable_seed(seed, "weights"))
        # The order of these four decides the weights of each: they draw from the same generator.
        vae, vae_reference = _autoencoder(settings)
        encoder, encoder_reference = _image_encoder(settings)
        projection = CCProjection(settings.image_encoder.embedding, 4, settings.unet.context)
        unet = _unet(settings)
    config = scheduler_config(
        prediction=settings.prediction,
        zero_terminal_snr=settings.zero_terminal_snr,
        spacing=settings.timestep_spacing,
    )
    references = {"vae": vae_reference, "image_encoder": encoder_reference}
    return Zero123Pipeline(
        unet=unet,
        vae=vae,
        image_encoder=encoder,
        cc_projection=projection,
        scheduler=DDIMScheduler(**config),
        hw=settings.hw,
        pose_slot4=settings.pose_slot4,
        latent_origin=settings.latent_origin,
        context_tokens=settings.image_encoder.tokens,
        references={part: reference for part, reference in references.items() if reference},
    )


def first_pipeline(settings: ModelSettings, seed: int, init: str | None) -> Zero123Pipeline:
    """Return the model that a training run begins with: `init` by its name or path, or an untrained model.

    Raises UsageError unless `init` is a model as `settings` describe it, Failure if it cannot be read.
    """
    if init is None:
        return build_pipeline(settings, seed)
    pipeline = Zero123Pipeline.of(open_located(locate_model(init), settings=settings))
    for key, (expected, got) in _differences(pipeline, settings).items():
        raise UsageError(f"train.init: expected {key} {expected!r} as in the settings, got {got!r} in {init}")
    return pipeline


def _differences(pipeline: Zero123Pipeline, settings: ModelSettings) -> dict[str, tuple[Any, Any]]:
    """Return the (expected, found) values of a loaded model that contradict the settings, by name."""
    schedule = scheduler_config(
        prediction=settings.prediction,
        zero_terminal_snr=settings.zero_terminal_snr,
        spacing=settings.timestep_spacing,
    )
    expected = {
        "model.hw": settings.hw,
        "model.pose_slot4": settings.pose_slot4,
        "model.latent_origin": settings.latent_origin,
        "model.autoencoder": settings.autoencoder,
        "model.image_encoder.kind": settings.image_encoder.kind,
        "model.image_encoder.tokens": settings.image_encoder.tokens,
        "model.image_encoder.embedding": settings.image_encoder.embedding,
        "model.image_encoder.channels": settings.image_encoder.channels,
        **{f"model.unet: {key}": value for key, value in unet_config(settings.unet, settings.hw[0] // 8).items()},
        **{f"schedule: {key}": value for key, value in schedule.items()},
    }
    found = {
        "model.hw": tuple(pipeline.hw),
        "model.pose_slot4": pipeline.pose_slot4,
        "model.latent_origin": pipeline.latent_origin,
        "model.autoencoder": "taesd" if isinstance(pipeline.vae, AutoencoderTiny) else "sd",
        "model.image_encoder.kind": "latents" if isinstance(pipeline.image_encoder, LatentEncoder) else "clip",
        "model.image_encoder.tokens": pipeline.context_tokens,
        "model.image_encoder.embedding": pipeline.cc_projection.config.embedding,
        "model.image_encoder.channels": pipeline.image_encoder.config.get("channels", ()),
        **{f"model.unet: {key}": value for key, value in pipeline.unet.config.items()},
        **{f"schedule: {key}": value for key, value in pipeline.scheduler.config.items()},
    }
    # diffusers returns lists for configurations read from JSON, and tuples for others.
    plain = {key: tuple(value) if isinstance(value, list) else value for key, value in found.items()}
    return {key: (value, plain.get(key)) for key, value in expected.items() if plain.get(key) != value}


def build_encoders(settings: ModelSettings, seed: int) -> FrozenEncoders:
    """The frozen part of `build_pipeline` alone, the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stable_seed(seed, "weights"))
        vae = _autoencoder(settings)[0]
        encoders = FrozenEncoders.of(vae, _image_encoder(settings)[0], settings.image_encoder.tokens, settings.hw)
    for module in (encoders.vae, encoders.image_encoder):
        if module is not None:
            # As inside a model: dropout and running statistics would change what is cached.
            module.eval().requires_grad_(requires_grad=False)
    return encoders


def _unet(settings: ModelSettings) -> UNet2DConditionModel:
    if settings.weights is None:
        return new_unet(settings)
    unet = base_part(UNet2DConditionModel, settings.weights, settings.weights_revision, "unet")
    expected = unet_config(settings.unet, settings.hw[0] // 8, in_channels=4)
    for key, value in expected.items():
        got = unet.config.get(key)
        # Weights do not depend on the size of the pictures.
        if key != "sample_size" and value != (tuple(got) if isinstance(got, list) else got):
            raise UsageError(f"model.unet: expected {key} {got!r} for the weights {settings.weights}, got {value!r}")
    widen_conv_in(unet)
    # Else a saved model would state the size of the base model.
    unet.register_to_config(sample_size=settings.hw[0] // 8)
    return unet


def _autoencoder(settings: ModelSettings) -> tuple[Autoencoder, Reference | None]:
    if settings.autoencoder == "taesd":
        return load_taesd(), taesd_reference()
    if settings.weights is None:
        return new_sd_vae(), None
    from diffusers import AutoencoderKL

    vae = base_part(AutoencoderKL, settings.weights, settings.weights_revision, "vae")
    return vae, base_reference(settings.weights, settings.weights_revision, "vae", vae)


def _image_encoder(settings: ModelSettings) -> tuple[ImageEncoder, Reference | None]:
    if settings.image_encoder.kind == "latents" or settings.weights is None:
        return new_image_encoder(settings), None
    encoder = base_part(CLIPVisionModelWithProjection, settings.weights, settings.weights_revision, "image_encoder")
    return encoder, base_reference(settings.weights, settings.weights_revision, "image_encoder", encoder)
