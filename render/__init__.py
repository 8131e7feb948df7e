"""What to render, and the supervised child process that renders it."""
