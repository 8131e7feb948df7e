"""Model files, one module per format: checked without Blender before Blender opens them."""
