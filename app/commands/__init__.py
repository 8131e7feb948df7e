"""A module for each command: `configure(parser)` adds its flags and sets its `run` function."""
