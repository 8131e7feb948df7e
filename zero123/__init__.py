"""The view-conditioned latent diffusion model of Zero-1-to-3 (arXiv 2303.11328).

`from zero123 import Zero123Pipeline`; see `zero123.pipeline.Zero123Pipeline`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zero123.pipeline import Zero123Pipeline

__all__ = ["Zero123Pipeline"]


def __getattr__(name: str) -> Any:
    # On first use: the model loads torch and diffusers, and other modules of this package need neither.
    if name in __all__:
        from zero123.own_packages import check_own_packages

        check_own_packages()
        from zero123 import pipeline

        return getattr(pipeline, name)
    raise AttributeError(f"module 'zero123' has no attribute {name!r}")
