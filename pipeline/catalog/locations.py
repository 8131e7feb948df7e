"""The location of an object, whichever mirror of the Hugging Face hub it is fetched from."""

import pyarrow
from pyarrow import compute

PUBLIC_HUB = "https://huggingface.co"
"""Replaces any mirror in locations: repository, revision and path identify a file."""
OBJAVERSE = "datasets/allenai/objaverse"
ON_ANY_HUB = rf"^https?://.*?/({OBJAVERSE}/resolve/)"


def without_mirror(locations: pyarrow.ChunkedArray, sources: pyarrow.ChunkedArray) -> pyarrow.ChunkedArray:
    """Return `locations` of Objaverse's objects with the public hub in place of a mirror.

    Earlier releases recorded the address of the mirror.
    """
    public = compute.replace_substring_regex(locations, ON_ANY_HUB, rf"{PUBLIC_HUB}/\1")
    return compute.if_else(compute.starts_with(sources, "objaverse"), public, locations)
