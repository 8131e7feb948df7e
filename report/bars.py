"""Bars inside a table: each row a name, bars to compare, and the figures themselves, readable without the bars."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from report.escape import fill, html


@dataclass(frozen=True)
class Bar:
    """One cell: `value` sets the bar's length against the largest of its column, `shown` is what stands beside it."""

    value: float | None
    shown: str | Markup


@dataclass(frozen=True)
class BarRow:
    """A name, an optional word under it, and one bar per column; `strong` marks the row the table is about."""

    name: str | Markup
    bars: tuple[Bar, ...]
    note: str | Markup = ""
    strong: bool = False


def share(value: float | None, largest: float) -> float:
    """The bar's length in percent, in [0, 100]; 0 for what is missing, negative or not a number."""
    if value is None or not value > 0.0 or not largest > 0.0:
        return 0.0
    return min(100.0, 100.0 * value / largest)


def bar_table(head: Sequence[str], rows: Sequence[BarRow], *, label: str) -> Markup:
    """A `<table>` with a bar in every value column; `head` names the columns, the row names' column first."""
    columns = len(head) - 1
    if any(len(row.bars) != columns for row in rows):
        raise ValueError(f"expected {columns} bars in every row, got {sorted({len(row.bars) for row in rows})}")
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
