"""Escaping of text from outside (titles, authors, stderr) for HTML, Markdown and CSV."""

import re
from typing import TypeGuard

from markupsafe import Markup
from markupsafe import escape as _escape

from base.text import replace_controls

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~&:@])")
_HARMLESS = re.compile(r"[A-Za-z0-9][ -~]*")
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


def html(text: object) -> Markup:
    """Escape `text` for HTML; our own Markup is returned unchanged."""
    return text if isinstance(text, Markup) else _escape(replace_controls(str(text)))


def fill(template: str, *values: object, **named: object) -> Markup:
    """Fill the `{}` of a template with values, each escaped unless it is Markup.

    `template` must be our own, never text from outside.
    """
    clean = [replace_controls(value) if _is_plain(value) else value for value in values]
    clean_named = {key: replace_controls(value) if _is_plain(value) else value for key, value in named.items()}
    return Markup(template).format(*clean, **clean_named)  # noqa: S704


def _is_plain(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and not isinstance(value, Markup)


def markdown(text: object) -> str:
    """Escape `text` as a single line of Markdown, also for table cells."""
    line = " ".join(replace_controls(str(text)).split())
    return _MARKDOWN.sub(r"\\\1", line)


def csv_cell(text: object) -> str:
    """Make `text` a CSV value that no spreadsheet runs as a formula, by an apostrophe before a dangerous start.

    Text with apostrophes of its own gets another, so `inv_csv_cell` can take it off. Plain numbers, also negative,
    stay numbers. Quoting is left to the csv module.
    """
    # Most cells begin with a letter or digit, and tables have millions of them.
    if _HARMLESS.fullmatch(str(text)):
        return str(text)
    value = replace_controls(str(text))
    # Apostrophes are looked through, or `'=1` would come back as `=1`.
    return f"'{value}" if _is_formula(value.lstrip("'")) else value


def inv_csv_cell(value: str) -> str:
    """Recover the text from a `value` of `csv_cell`; control characters stay removed."""
    return value[1:] if value.startswith("'") and _is_formula(value.lstrip("'")) else value


def _is_formula(value: str) -> bool:
    # Spreadsheets ignore blanks before a formula.
    starts = value.lstrip().startswith(_FORMULA_STARTS) or value.startswith(_FORMULA_STARTS)
    return starts and not _NUMBER.fullmatch(value)
