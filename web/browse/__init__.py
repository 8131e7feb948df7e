"""Datasets, evaluations and training runs to look at in the page: read only, by names, without the server's paths."""
