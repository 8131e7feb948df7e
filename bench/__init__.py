"""Benchmarks: each prints a table and, with `--json FILE`, writes it with machine, versions and settings."""
