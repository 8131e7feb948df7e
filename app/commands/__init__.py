"""One module a command: `configure(parser)` adds its flags and names the function that runs it."""
