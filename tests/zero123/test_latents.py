"""Latents and images: TAESD against the original network, the two scalings, compositing, CLIP's preprocessing."""

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import relu

from zero123.image_encoder import CLIP_MEAN, CLIP_STD, clip_pixels
from zero123.latents import SD_SCALE, composited, condition_latent, image_from_latent, target_latent
from zero123.taesd import FOLDER, WEIGHTS, load_taesd


class Block(nn.Module):
    """The residual block of the original taesd.py."""

    def __init__(self) -> None:
        super().__init__()
        layers = [nn.Conv2d(64, 64, 3, padding=1), nn.ReLU()]
        self.conv = nn.Sequential(*layers, *layers[:0], nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(),
                                  nn.Conv2d(64, 64, 3, padding=1))  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.conv(x) + x)


class Clamp(nn.Module):
    """The first layer of the original decoder."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x / 3) * 3


def original_networks() -> tuple[nn.Sequential, nn.Sequential]:
    """taesd.py's Encoder and Decoder with our weights under the original names: the decoder's index is one higher."""
    conv = lambda i, o, **how: nn.Conv2d(i, o, 3, padding=1, **how)
    down = lambda: [conv(64, 64, stride=2, bias=False), Block(), Block(), Block()]
    up = lambda: [Block(), Block(), Block(), nn.Upsample(scale_factor=2), conv(64, 64, bias=False)]
    encoder = nn.Sequential(conv(3, 64), Block(), *down(), *down(), *down(), conv(64, 4))
    decoder = nn.Sequential(Clamp(), conv(4, 64), nn.ReLU(), *up(), *up(), *up(), Block(), conv(64, 3))
    tensors = {name: tensor.float() for name, tensor in load_file(FOLDER / WEIGHTS).items()}
    for network, part, shift in ((encoder, "encoder.layers.", 0), (decoder, "decoder.layers.", 1)):
        state = {}
        for name in (name for name in tensors if name.startswith(part)):
            index, _, rest = name.removeprefix(part).partition(".")
            state[f"{int(index) + shift}.{rest}"] = tensors[name]
        network.load_state_dict(state, strict=True)
    return encoder.eval(), decoder.eval()


def picture() -> Tensor:
    """A soft disc on a gradient, (1, 3, 64, 64) in [−1, 1]."""
    y, x = np.mgrid[0:64, 0:64] / 63.0
    disc = 1.0 / (1.0 + np.exp(40.0 * (np.hypot(x - 0.5, y - 0.4) - 0.25)))
    image = np.stack([disc, 0.5 * x + 0.3 * disc, y * (1 - disc)])
    return torch.from_numpy(image * 2 - 1).float()[None]


@torch.no_grad()
def test_taesd_is_the_original_network() -> None:
    encoder, decoder = original_networks()
    vae, image = load_taesd(), picture()
    expected = encoder((image + 1) / 2)
    latents = target_latent(vae, image)
    torch.testing.assert_close(latents, expected, rtol=1e-4, atol=1e-4)
    restored = image_from_latent(vae, latents)
    torch.testing.assert_close((restored + 1) / 2, decoder(expected), rtol=1e-4, atol=1e-4)
    error = float(((restored - image) ** 2).mean()) / 4
    assert -10 * np.log10(error) > 25.0


def test_taesd_ships_whole_small_and_with_its_licence() -> None:
    tensors = load_file(FOLDER / WEIGHTS)
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    assert sum(tensor.numel() for tensor in tensors.values()) == 2_445_063
    assert "MIT License" in (FOLDER / "LICENSE").read_text()


@torch.no_grad()
def test_latent_scaling_of_public_weights() -> None:
    image = picture()
    taesd = load_taesd()
    torch.testing.assert_close(condition_latent(taesd, image) * SD_SCALE, target_latent(taesd, image))
    torch.manual_seed(0)
    vae = AutoencoderKL(block_out_channels=(32,), layers_per_block=1, latent_channels=4).eval()
    posterior = vae.encode(image).latent_dist
    torch.testing.assert_close(condition_latent(vae, image), posterior.mode())
    noise = torch.randn(posterior.mean.shape)
    torch.testing.assert_close(target_latent(vae, image, noise), (posterior.mean + posterior.std * noise) * 0.18215)
    torch.testing.assert_close(image_from_latent(vae, posterior.mode() * 0.18215), vae.decode(posterior.mode()).sample)


def test_alpha_is_composited_on_white() -> None:
    rgba = torch.tensor([[[[255, 0, 0, 255], [255, 0, 0, 0], [0, 0, 0, 51]]]], dtype=torch.uint8)
    got = composited(rgba)[0, :, 0].T
    torch.testing.assert_close(got, torch.tensor([[1.0, -1.0, -1.0], [1.0, 1.0, 1.0], [0.6, 0.6, 0.6]]))
    assert float(composited(rgba, background=0.0)[0, 0, 0, 1]) == pytest.approx(-1.0)


@torch.no_grad()
@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_composited_images_are_contiguous(dtype: torch.dtype, most: float) -> None:
    rgba = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 128, 128, 4), np.uint8))
    images = composited(rgba, dtype=dtype)
    assert images.dtype == dtype
    assert images.is_contiguous()
    features = torch.nn.functional.conv2d(images, torch.ones(32, 3, 1, 1, dtype=dtype) + images[0, :, :1, :1])
    exact = torch.nn.functional.group_norm(features.double(), 4)
    assert float((torch.nn.functional.group_norm(features, 4) - exact).abs().max()) < most * float(exact.abs().max())


def test_clip_sees_corners_aligned_bicubic_without_antialiasing() -> None:
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.uniform(-1, 1, (1, 3, 256, 256))).float()
    got = clip_pixels(image) * torch.tensor(CLIP_STD)[:, None, None] + torch.tensor(CLIP_MEAN)[:, None, None]
    for corner in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        torch.testing.assert_close(got[0, :, *corner], (image[0, :, *corner] + 1) / 2)
    row, column = 100, 37
    torch.testing.assert_close(got[0, 0, row, column], torch.tensor(_bicubic(image[0, 0].numpy(), row, column)).float())
    antialiased = Image.fromarray(((image[0, 0].numpy() + 1) * 127.5).astype(np.uint8)).resize(
        (224, 224), Image.Resampling.BICUBIC
    )
    assert np.abs(np.asarray(antialiased) / 255.0 - got[0, 0].numpy()).max() > 0.05


def _bicubic(image: np.ndarray, row: int, column: int) -> float:
    """One pixel of the resize to 224², by Keys' kernel with a = −0.75, pixel by pixel; in [0, 1]."""

    def weight(distance: float) -> float:
        d, a = abs(distance), -0.75
        if d <= 1:
            return (a + 2) * d**3 - (a + 3) * d**2 + 1
        return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0

    y, x = row * 255 / 223, column * 255 / 223
    total = 0.0
    for i in range(int(y) - 1, int(y) + 3):
        for j in range(int(x) - 1, int(x) + 3):
            total += weight(y - i) * weight(x - j) * (float(image[i, j]) + 1) / 2
    return total
