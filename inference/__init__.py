"""Views and meshes of people's pictures, as resumable files."""
