"""Decide what a build does: filter, assign shards, compare with the catalogue, forecast the cost."""
