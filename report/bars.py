"""Bars inside a table: each row a name, bars to compare, and the figures themselves, readable without the bars."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from report.escape import fill, html


@dataclass(frozen=True)
class Bar:
    """A cell. `value` sets the length relative to the largest bar of the column; `shown` is the text beside the bar."""

    value: float | None
    shown: str | Markup


@dataclass(frozen=True)
class BarRow:
    """A name, an optional note under it, and a bar for each column. `strong` marks the main row."""

    name: str | Markup
    bars: tuple[Bar, ...]
    note: str | Markup = ""
    strong: bool = False


def share(value: float | None, largest: float) -> float:
    """Compute the length of a bar in percent, in [0, 100]; missing, negative and NaN values give 0."""
    # `not >` instead of `<=`: a NaN must fail too.
    if value is None or not value > 0.0 or not largest > 0.0:
        return 0.0
    return min(100.0, 100.0 * value / largest)


def bar_table(head: Sequence[str], rows: Sequence[BarRow], *, label: str) -> Markup:
    """Make a `<table>` with a bar in every value column; `head` names the columns, that of the row names first.

    Raises ValueError when a row has too few or too many bars.
    """
    columns = len(head) - 1
    if any(len(row.bars) != columns for row in rows):
        raise ValueError(f"expected {columns} bars in every row, got {sorted({len(row.bars) for row in rows})}")
    # Each column has its own scale: seconds and bytes cannot share one.
    largest = [max((row.bars[index].value or 0.0 for row in rows), default=0.0) for index in range(columns)]
    names = Markup("").join(fill('<th scope="col">{}</th>', html(name)) for name in head)
    body = Markup("").join(_row(row, largest) for row in rows)
    table = '<table class="bars" aria-label="{}"><thead><tr>{}</tr></thead><tbody>{}</tbody></table>'
    return fill(f'<div class="scroll">{table}</div>', label, names, body)


def _row(row: BarRow, largest: Sequence[float]) -> Markup:
    note = fill('<span class="note">{}</span>', html(row.note)) if row.note else Markup("")
    cells = [fill('<th scope="row">{}{}</th>', html(row.name), note)]
    for index, (bar, most) in enumerate(zip(row.bars, largest, strict=True)):
        cell = '<td><span class="figure">{}</span><span class="bar b{}" style="--w:{:.1f}%"></span></td>'
        cells.append(fill(cell, html(bar.shown), index + 1, share(bar.value, most)))
    return fill("<tr{}>{}</tr>", Markup(' class="strong"') if row.strong else "", Markup("").join(cells))
