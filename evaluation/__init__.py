"""Measuring novel views and meshes against the truth and against trivial answers."""
