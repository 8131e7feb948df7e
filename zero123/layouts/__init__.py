"""Weights as others write them: the original's `.ckpt`, and the two folders that its ports to diffusers use."""
