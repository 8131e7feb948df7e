"""Where an object is, whichever mirror of the Hugging Face hub it is fetched from."""

import pyarrow
from pyarrow import compute

PUBLIC_HUB = "https://huggingface.co"
"""Stands in locations for any mirror: repository, revision and path name a file, the hub's address does not."""
OBJAVERSE = "datasets/allenai/objaverse"
ON_ANY_HUB = rf"^https?://.*?/({OBJAVERSE}/resolve/)"


def without_mirror(locations: pyarrow.ChunkedArray, sources: pyarrow.ChunkedArray) -> pyarrow.ChunkedArray:
    """Return `locations` with the public hub in the place of a mirror, of objects of Objaverse alone.

    Earlier releases recorded the address of the mirror that they were told to ask.
    """
    public = compute.replace_substring_regex(locations, ON_ANY_HUB, rf"{PUBLIC_HUB}/\1")
    return compute.if_else(compute.starts_with(sources, "objaverse"), public, locations)
