"""Text from outside (titles, authors, stderr) made harmless for the place where it will stand."""

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
    """`text` as HTML that shows its characters and means nothing; Markup of ours passes unchanged."""
    return text if isinstance(text, Markup) else _escape(replace_controls(str(text)))


def fill(template: str, *values: object, **named: object) -> Markup:
    """A template of ours (never text from outside) with `{}` filled by values, each escaped unless it is Markup."""
    clean = [replace_controls(value) if _plain(value) else value for value in values]
    clean_named = {key: replace_controls(value) if _plain(value) else value for key, value in named.items()}
    return Markup(template).format(*clean, **clean_named)  # noqa: S704


def _plain(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and not isinstance(value, Markup)


def markdown(text: object) -> str:
    """`text` as one line of Markdown that renders as its own characters, inside a table cell too."""
    line = " ".join(replace_controls(str(text)).split())
    return _MARKDOWN.sub(r"\\\1", line)


def csv_cell(text: object) -> str:
    """`text` as a CSV value that no spreadsheet runs as a formula: an apostrophe goes before a dangerous start.

    Before one that has apostrophes of its own goes one more, so that `inv_csv_cell` can tell them apart. Plain numbers,
    negative ones too, stay numbers. Quoting is the csv module's part.
    """
    if _HARMLESS.fullmatch(str(text)):
        return str(text)
    value = replace_controls(str(text))
    return f"'{value}" if _is_formula(value.lstrip("'")) else value


def inv_csv_cell(value: str) -> str:
    """The text, without its controls, of which `csv_cell` made `value`."""
    return value[1:] if value.startswith("'") and _is_formula(value.lstrip("'")) else value


def _is_formula(value: str) -> bool:
    starts = value.lstrip().startswith(_FORMULA_STARTS) or value.startswith(_FORMULA_STARTS)
    return starts and not _NUMBER.fullmatch(value)
