"""Make text from outside harmless."""

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def replace_surrogates(text: str) -> str:
    """Replace lone surrogates, which cannot be encoded, by `\\N{REPLACEMENT CHARACTER}`."""
    # UTF-16, where a lone surrogate can be written at all.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def replace_controls(text: str) -> str:
    """Replace terminal control characters and bidirectional overrides by `\\N{REPLACEMENT CHARACTER}`."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
