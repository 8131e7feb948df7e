"""How models refer to pictures, and how such references are compared; standard library only, for the child too."""

import posixpath
import unicodedata

TILES, FIRST_TILE, LAST_TILE = "<UDIM>", 1001, 1100
"""What replaces the number in the name of a picture of several tiles, and the numbers."""


def use_slashes(name: str) -> str:
    """Return a name with forward slashes, without blanks and quotation marks around it."""
    return name.strip().strip("\"'").replace("\\", "/")


def fold_name(name: str) -> str:
    """Return a name without the differences between file systems: letter case and composed letters."""
    return unicodedata.normalize("NFC", name).casefold()


def picture_key(name: str) -> str:
    """Return a picture's path as it is compared: with `/`, not absolute, without letter case."""
    return fold_name(posixpath.normpath(use_slashes(name).lstrip("/")))


def file_name(name: str) -> str:
    """Return the last part of a picture's path as it is compared."""
    return picture_key(name).rpartition("/")[2]
