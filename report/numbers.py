"""Numbers as people read them, with their exact values, so that page and JSON can be compared."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from markupsafe import Markup

from report.escape import fill

Number = int | float | None
ABSENT = "–"
LONG_MINUTES = 6000


def finite_or_none(value: float | None) -> float | None:
    """Return `value`, or None where it is missing, infinite or NaN: JSON cannot write those."""
    return None if value is None or not math.isfinite(value) else float(value)


def seconds_text(value: float) -> str:
    """Format a duration: 0.42 s, 9.5 s, 42 s, 4 min 05 s, 2 h 03 min, 2 222 h."""
    # From here on rounding would show 60 s.
    if value < 59.5:
        return f"{value:.2f} s" if value < 1 else f"{value:.1f} s" if value < 9.95 else f"{value:.0f} s"
    minutes, seconds = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {seconds:02d} s"
    if minutes >= LONG_MINUTES:
        return f"{count_text(minutes / 60)} h"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def bytes_text(value: float) -> str:
    """Format a size in binary units: 512 B, 70 KiB, 3.3 MiB, 1.4 GiB."""
    for unit in ("B", "KiB", "MiB"):
        # Where rounding would show 1024, the next unit is used.
        if abs(value) < 1023.5:
            return f"{value:.1f} {unit}" if unit == "MiB" and abs(value) < 9.95 else f"{value:.0f} {unit}"
        value /= 1024.0
    return f"{value:.1f} GiB"


def count_text(value: float) -> str:
    """Format a whole number with thin spaces between thousands."""
    return f"{round(value):,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def short_count_text(value: float) -> str:
    """Format a count to about three figures: 860, 12.4 thousand, 1.93 million."""
    for limit, name in ((1e9, "billion"), (1e6, "million"), (1e4, "thousand")):
        if abs(value) >= limit:
            return f"{value / (1e3 if name == 'thousand' else limit):.3g} {name}"
    return count_text(value)


def signed_db_text(value: float) -> str:
    """Format a difference in decibels with its sign: +1.52 dB, −0.30 dB."""
    return f"{value:+.2f} dB".replace("-", "\N{MINUS SIGN}")


KINDS: Mapping[str, Callable[[float], str]] = {
    "count": count_text,
    "short": short_count_text,
    "seconds": seconds_text,
    "bytes": bytes_text,
    "db": lambda value: f"{value:.2f} dB",
    "db_bare": lambda value: f"{value:.2f}",
    "signed_db": signed_db_text,
    "ratio": lambda value: f"{value:.3f}",
    "scientific": lambda value: f"{value:.2e}",
}


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Collect the leaves of nested mappings and lists under dotted keys: {"a": {"b": [1]}} → {"a.b.0": 1}."""
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping):
            leaves |= flatten(value, f"{path}.")
        elif isinstance(value, list | tuple):
            leaves |= flatten({str(index): item for index, item in enumerate(value)}, f"{path}.")
        else:
            leaves[path] = value
    return leaves


class Figures:
    """The numbers of a report by dotted key. Pages look up all numbers here, so they cannot differ from the JSON."""

    def __init__(self, tree: Mapping[str, Any]) -> None:
        self._leaves = flatten(tree)

    def value(self, key: str) -> Number:
        """Look up the number under `key`, None where it was not measured. Raises KeyError for an unknown key."""
        value = self._leaves[key]
        if value is not None and not isinstance(value, int | float):
            raise TypeError(f"expected a number under {key}, got {type(value).__name__}")
        return value

    def show(self, key: str, kind: str) -> Markup:
        """Make a `<data>` element: text for people, with the key and exact value as attributes."""
        value = self.value(key)
        if value is None:
            return fill('<data data-key="{}" value="">{}</data>', key, ABSENT)
        # `repr` is the shortest text that gives the same float again.
        return fill('<data data-key="{}" value="{}">{}</data>', key, repr(value), KINDS[kind](value))
