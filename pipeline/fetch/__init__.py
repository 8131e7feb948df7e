"""Bring the bytes of a model to this machine: addresses, HTTP, rate limits and a cache."""
