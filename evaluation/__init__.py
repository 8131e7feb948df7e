"""Measure novel views and meshes against the truth and against baselines."""
