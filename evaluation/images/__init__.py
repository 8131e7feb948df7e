"""Metrics of pictures: plain functions, each with its source and its variants by name."""
