"""From one view to a mesh: a voxel field optimised with the model's score (SJC, arXiv 2212.00774)."""
