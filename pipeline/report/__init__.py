"""Report on a build: facts of a run, messages on the console, pages."""
