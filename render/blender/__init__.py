"""The program of the Blender child: import, normalise, light and render a model. Only this package imports bpy."""
