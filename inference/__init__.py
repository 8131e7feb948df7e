"""Views and meshes of people's pictures, as files that a later command goes on from."""
