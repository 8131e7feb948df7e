"""Weights as others write them: the original's `.ckpt`, and the two folders of its ports to diffusers."""
