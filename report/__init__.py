"""Pictures and pages for people: contact sheets, curves, meshes, a single HTML file for each run."""
