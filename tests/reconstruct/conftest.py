"""Few threads, so that tests that run side by side do not fight for cores; and a small model."""

import pytest
import torch

from zero123.build import build_pipeline
from zero123.pipeline import Zero123Pipeline
from zero123.settings import ImageEncoderSettings, ModelSettings, UNetSettings

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def pipeline() -> Zero123Pipeline:
    """An untrained, small model of 32 px."""
    unet = UNetSettings(
        channels=(16, 16), attention=(False, True), layers=1, heads=2, norm_groups=8, context=16, context_in_time=True
    )
    settings = ModelSettings(
        hw=(32, 32),
        weights=None,
        weights_revision=None,
        autoencoder="taesd",
        image_encoder=ImageEncoderSettings(kind="latents", tokens="one", embedding=16, channels=(16,)),
        unet=unet,
        prediction="v_prediction",
        zero_terminal_snr=True,
        timestep_spacing="trailing",
        pose_slot4="radius_difference",
        latent_origin="zero",
    )
    return build_pipeline(settings, 0)
