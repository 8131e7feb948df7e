"""Metrics of meshes: plain functions over triangles, each with its source and its variants by name."""
