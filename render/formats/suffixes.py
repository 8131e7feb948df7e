"""Suffixes of model files."""

USD_SUFFIXES = frozenset({".usd", ".usda", ".usdc", ".usdz"})
READ_SUFFIXES = frozenset({".blend", ".fbx", ".glb", ".gltf", ".obj", ".ply", ".stl"}) | USD_SUFFIXES
"""Formats with an importer."""

MODEL_SUFFIXES = READ_SUFFIXES | {".vrm", ".dae", ".abc", ".3ds", ".x3d", ".step", ".max", ".ma", ".mb"}
"""All formats of models, with an importer or without."""
