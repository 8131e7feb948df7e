"""Attention to a single context token, without the attention.

With one key the softmax is 1 whatever the query, so cross-attention is to_out(to_v(context)): constant over pixels, and
to_q, to_k and the norm before them have no influence and no gradient (notes in arXiv 2411.15706).
"""

from typing import Any

from diffusers import UNet2DConditionModel
from torch import Tensor, nn


class SingleTokenAttention:
    """A diffusers attention processor that is exact for a context of one token; raises ValueError for more."""

    def __call__(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, **_: Any
    ) -> Tensor:
        """The output (N, P, C) for hidden states (N, P, C) and a context (N, 1, D)."""
        if encoder_hidden_states is None or encoder_hidden_states.shape[1] != 1:
            raise ValueError("expected a context of one token")
        token = attn.to_out[1](attn.to_out[0](attn.to_v(encoder_hidden_states)))
        return (token / attn.rescale_output_factor).expand(-1, hidden_states.shape[1], -1)  # type: ignore[no-any-return]


def use_single_token_attention(unet: UNet2DConditionModel) -> None:
    """Replace every cross-attention's processor by `SingleTokenAttention`, which is exact for one token alone."""
    processors = dict(unet.attn_processors)
    for name in processors:
        if ".attn2." in name:
            processors[name] = SingleTokenAttention()
    unet.set_attn_processor(processors)


def without_influence(unet: nn.Module) -> set[str]:
    """The names of the parameters that one context token leaves without influence."""
    parts = (".attn2.to_q.", ".attn2.to_k.", ".norm2.")
    return {
        name
        for name, _ in unet.named_parameters()
        if any(part in name for part in parts) and ".transformer_blocks." in name
    }
