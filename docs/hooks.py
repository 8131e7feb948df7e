"""Hooks of mkdocs: links to files outside `docs/` work in the repository, but not on the site."""

import re
from typing import Any

OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./[^)]*\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace each link to a file outside `docs/` by its text."""
    return OUTSIDE.sub(r"\1", markdown)
