"""Shared by all stages: settings, storage, stable seeds, outcomes, errors and progress."""
