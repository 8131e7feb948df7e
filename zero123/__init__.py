"""The view-conditioned latent diffusion model of Zero-1-to-3 (arXiv 2303.11328)."""

from typing import Any


def __getattr__(name: str) -> Any:
    """Load `Zero123Pipeline` when it is asked for: it brings torch and diffusers along."""
    if name == "Zero123Pipeline":
        from zero123.pipeline import Zero123Pipeline

        return Zero123Pipeline
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
