"""The view-conditioned latent diffusion model of Zero-1-to-3 (arXiv 2303.11328)."""
