"""What people touch: the `zero123` command."""
