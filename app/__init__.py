"""The `zero123` command."""
