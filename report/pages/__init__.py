"""The HTML pages: a demo, a build, an object, an evaluation."""
