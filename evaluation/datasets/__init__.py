"""Data sets of published evaluations, each read from its own layout on disk."""
