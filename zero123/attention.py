"""Attention to a single context token, without the attention.

With a single key the softmax is 1 for any query, so cross-attention is to_out(to_v(context)): constant over pixels, and
to_q, to_k and the norm before them have no influence and no gradient (notes in arXiv 2411.15706).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from diffusers import UNet2DConditionModel
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0
from torch import Tensor, nn

FEW_PIXELS = 256
"""Up to so many pixels, attention in separate products is faster on a CPU, and its softmax takes little memory."""


class SmallAttention:
    """A diffusers attention processor for training on a CPU; its answers differ from the usual by rounding alone.

    For few pixels the fused kernel spends most of its backward pass on overhead, so the products are computed
    separately.
    """

    def __init__(self) -> None:
        self._separate, self._fused = AttnProcessor(), AttnProcessor2_0()

    def __call__(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, **given: Any
    ) -> Tensor:
        """The output (N, P, C) for hidden states (N, P, C) and, of a cross-attention, a context (N, K, D)."""
        process = self._separate if hidden_states.shape[1] <= FEW_PIXELS else self._fused
        answer: Tensor = process(attn, hidden_states, encoder_hidden_states, **given)
        return answer


class SingleTokenAttention:
    """A diffusers attention processor, exact for a context of a single token; raises ValueError for more."""

    def __call__(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, **_: Any
    ) -> Tensor:
        """The output (N, P, C) for hidden states (N, P, C) and a context (N, 1, D)."""
        if encoder_hidden_states is None:
            raise ValueError("expected a context of a single token")
        return token_output(attn, encoder_hidden_states).expand(-1, hidden_states.shape[1], -1)


class ConstantAttention(nn.Module):
    """Answers with `value` (N, 1, C), computed before, for the first rows of a batch."""

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.value = value

    def forward(self, hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
        """The output (n, 1, C), the same for every pixel, for hidden states (n, P, C) with n ≤ N."""
        return self.value[: len(hidden_states)]


def token_output(attn: Any, context: Tensor) -> Tensor:
    """The output (N, 1, C) of a cross-attention for a context (N, 1, D). Raises ValueError for more tokens."""
    if context.shape[1] != 1:
        raise ValueError("expected a context of a single token")
    token: Tensor = attn.to_out[1](attn.to_out[0](attn.to_v(context))) / attn.rescale_output_factor
    return token


def use_single_token_attention(unet: UNet2DConditionModel) -> None:
    """Replace every cross-attention's processor by `SingleTokenAttention`, exact for a single token."""
    processors = dict(unet.attn_processors)
    for name in processors:
        # diffusers calls self-attention attn1 and cross-attention attn2.
        if ".attn2." in name:
            processors[name] = SingleTokenAttention()
    unet.set_attn_processor(processors)


def use_small_attention(unet: UNet2DConditionModel) -> None:
    """Replace every attention's processor by `SmallAttention`, apart from those for a single token."""
    processors = {
        name: before if isinstance(before, SingleTokenAttention) else SmallAttention()
        for name, before in unet.attn_processors.items()
    }
    unet.set_attn_processor(processors)


@contextmanager
def constant_cross_attention(unet: UNet2DConditionModel, context: Tensor) -> Iterator[None]:
    """Within the block, every cross-attention answers as for `context` (N, 1, D), for any given context.

    The answers are computed once instead of in every evaluation, and the norm before each cross-attention is skipped.
    """
    blocks = [module for module in unet.modules() if isinstance(module, BasicTransformerBlock) and module.attn2]
    before = [(block.norm2, block.attn2) for block in blocks]
    try:
        for block in blocks:
            value = token_output(block.attn2, context)
            # Whole modules are replaced: a processor would still run after the norm.
            block.norm2, block.attn2 = nn.Identity(), ConstantAttention(value)
        yield
    finally:
        for block, (norm, attention) in zip(blocks, before, strict=True):
            # Also after an error: the model would answer every later input with this context.
            block.norm2, block.attn2 = norm, attention


def find_idle_parameters(unet: nn.Module) -> set[str]:
    """Return the names of the parameters without influence on a single context token's answer."""
    parts = (".attn2.to_q.", ".attn2.to_k.", ".norm2.")
    return {
        name
        for name, _ in unet.named_parameters()
        if any(part in name for part in parts) and ".transformer_blocks." in name
    }
