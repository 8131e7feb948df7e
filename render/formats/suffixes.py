"""The suffixes of files that are models."""

USD_SUFFIXES = frozenset({".usd", ".usda", ".usdc", ".usdz"})
READ_SUFFIXES = frozenset({".blend", ".fbx", ".glb", ".gltf", ".obj", ".ply", ".stl"}) | USD_SUFFIXES
"""Formats that are rendered."""

MODEL_SUFFIXES = READ_SUFFIXES | {".vrm", ".dae", ".abc", ".3ds", ".x3d", ".step", ".max", ".ma", ".mb"}
"""Files that are meant as models, whether they can be rendered or not."""
