"""Texts from outside as the page may show them: short, without control characters and without the server's paths."""

import re

from base.text import replace_controls, replace_surrogates

LONGEST = 400
FOLDERS = re.compile(r"(?<![\w:/.~…-])~?/(?:[^/\s'\"<>|]+/)+")
"""The folders of an absolute path. What follows `:` or `//` is a URL."""


def clean(text: object, *hidden: str) -> str:
    """Return `text` for the page; of the paths `hidden`, and of absolute paths, only the last name is left."""
    shown = replace_controls(replace_surrogates(str(text)))
    for path in sorted(filter(None, hidden), key=len, reverse=True):
        bare = path.rstrip("/")
        shown = shown.replace(f"{bare}/", "…/").replace(bare, f"…/{bare.rpartition('/')[2]}")
    shown = FOLDERS.sub("…/", shown)
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"
