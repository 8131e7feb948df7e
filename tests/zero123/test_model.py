"""The network's parts: projection, surgery, conditions, single-token attention, and the size of the paper's model."""

import pytest
import torch
from diffusers import UNet2DConditionModel

from app.settings import load_settings
from tests.zero123.networks import settings, small_pipeline
from zero123.attention import find_idle_parameters, use_single_token_attention, use_small_attention
from zero123.conditioning import Conditioning, Dropout
from zero123.modules import LATENT_CHANNELS, clip_l14_config, unet_config, widen_conv_in
from zero123.projection import CCProjection


def test_the_projection_starts_as_the_identity_on_the_embedding() -> None:
    projection = CCProjection(16, 4, 16)
    embedding = torch.randn(3, 16)
    torch.testing.assert_close(projection(embedding[:, None], torch.zeros(3, 4)), embedding[:, None])
    assert float(projection.projection.weight[:, 16:].detach().abs().max()) > 0.0
    assert dict(projection.config).items() >= {"embedding": 16, "pose": 4, "context": 16}.items()


def four_channel_unet() -> UNet2DConditionModel:
    torch.manual_seed(0)
    unet = settings().unet
    return UNet2DConditionModel(**unet_config(unet, 4, in_channels=LATENT_CHANNELS)).eval()


@torch.no_grad()
def test_four_more_input_channels_change_nothing_at_first(tmp_path) -> None:
    unet = four_channel_unet()
    noisy, condition = torch.randn(2, 4, 4, 4), torch.randn(2, 4, 4, 4)
    context, timesteps = torch.randn(2, 1, 16), torch.tensor([1, 900])
    before = unet(noisy, timesteps, encoder_hidden_states=context).sample
    widen_conv_in(unet)
    after = unet(torch.cat([noisy, condition], 1), timesteps, encoder_hidden_states=context).sample
    torch.testing.assert_close(after, before, rtol=1e-5, atol=2e-6)
    assert torch.isfinite(unet.conv_in.weight).all()
    assert (unet.config.in_channels, unet.conv_in.in_channels) == (8, 8)
    unet.save_pretrained(tmp_path)
    again = UNet2DConditionModel.from_pretrained(tmp_path, low_cpu_mem_usage=False)
    assert torch.equal(again.conv_in.weight, unet.conv_in.weight)


@torch.no_grad()
def test_attention_to_one_token_needs_no_attention() -> None:
    unet = four_channel_unet()
    noisy, context, timesteps = torch.randn(2, 4, 4, 4), torch.randn(2, 1, 16), torch.tensor([1, 900])
    before = unet(noisy, timesteps, encoder_hidden_states=context).sample
    use_single_token_attention(unet)
    torch.testing.assert_close(unet(noisy, timesteps, encoder_hidden_states=context).sample, before)
    with pytest.raises(ValueError, match="a single token"):
        unet(noisy, timesteps, encoder_hidden_states=torch.randn(2, 2, 16))


@pytest.mark.parametrize("tokens", [1, 3])
def test_small_attention_has_the_answers_and_gradients_of_the_fused_kernel(tokens: int) -> None:
    noisy, context = torch.randn(2, 4, 4, 4), torch.randn(2, tokens, 16)
    fused, small = four_channel_unet(), four_channel_unet()
    if tokens == 1:
        use_single_token_attention(small)
    use_small_attention(small)
    kinds = [type(processor).__name__ for processor in small.attn_processors.values()]
    assert set(kinds) == ({"SingleTokenAttention", "SmallAttention"} if tokens == 1 else {"SmallAttention"})
    gradients = []
    for unet in (fused, small):
        unet(noisy, 500, encoder_hidden_states=context).sample.square().sum().backward()
        gradients.append(unet.conv_in.weight.grad)
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5)


def test_idle_parameters_have_no_gradient() -> None:
    unet = four_channel_unet()
    idle = find_idle_parameters(unet)
    assert idle
    unet(torch.randn(2, 4, 4, 4), 500, encoder_hidden_states=torch.randn(2, 1, 16)).sample.square().sum().backward()
    scale = max(float(p.grad.abs().max()) for p in unet.parameters() if p.grad is not None)
    for name, parameter in unet.named_parameters():
        moves = parameter.grad is not None and float(parameter.grad.abs().max()) > 1e-6 * scale
        assert moves != (name in idle), name


def test_dropout_loses_each_part_as_often_as_it_says() -> None:
    uniform = (torch.arange(100_000) + 0.5) / 100_000
    context, latents = Dropout(context=0.05, latents=0.10, both=0.20, where="context").kept(uniform)
    share = lambda which: float(which.double().mean())
    assert share(~context & latents) == pytest.approx(0.05, abs=1e-4)
    assert share(context & ~latents) == pytest.approx(0.10, abs=1e-4)
    assert share(~context & ~latents) == pytest.approx(0.20, abs=1e-4)
    nothing, either = Dropout(context=0.0, latents=0.0, both=0.0, where="context").kept(uniform)
    assert bool(nothing.all())
    assert bool(either.all())


def test_the_null_condition_is_zeros_after_the_projection() -> None:
    pipeline = small_pipeline()
    conditioning = Conditioning(torch.randn(3, 1, 16), torch.randn(3, 4, 4, 4))
    null = pipeline.null(conditioning)
    assert not null.context.any()
    assert not null.latents.any()
    assert (null.context.shape, null.latents.shape) == (conditioning.context.shape, conditioning.latents.shape)
    assert float(pipeline.cc_projection(torch.zeros(1, 1, 12), torch.ones(1, 4)).abs().max()) > 0.0


def test_the_papers_model_has_the_papers_size() -> None:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    model = load_settings(None).model
    count = lambda module: sum(parameter.numel() for parameter in module.parameters())
    with torch.device("meta"):
        unet = UNet2DConditionModel(**unet_config(model.unet, model.hw[0] // 8))
        clip = CLIPVisionModelWithProjection(CLIPVisionConfig(**clip_l14_config(model.image_encoder.embedding)))
        projection = CCProjection(model.image_encoder.embedding, 4, model.unet.context)
    assert count(unet) == 859_532_484
    assert count(clip) == 303_966_208
    assert count(projection) == 593_664
    assert (unet.config.in_channels, projection.projection.weight.shape) == (8, (768, 772))
