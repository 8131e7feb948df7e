"""Pictures and pages for people: contact sheets, curves, meshes, one HTML file a run."""
