"""The child process: import a model, normalise it, light it, shoot it. The only home of bpy."""
