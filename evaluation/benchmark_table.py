"""The table of a benchmark: published rows as printed, then measured rows with intervals and paired differences."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.metric_words import format_figure, format_printed, words_of
from evaluation.protocol import Protocol
from evaluation.statistics import Mean, PairedDifference, paired_difference
from evaluation.summary import Summary
from evaluation.table import markdown_table
from report.escape import csv_cell, markdown

PUBLISHED_VARIANT = "as-published"
PRINTED, QUOTED, MEASURED = "as printed", "quoted", "measured"
"""Read in the paper, read in a text that quotes the paper, measured here."""

LATEX_MARKS = {PRINTED: "$^*$", QUOTED: "$^\\dagger$", MEASURED: ""}


@dataclass(frozen=True)
class Cell:
    """A figure; `without_failed` leaves failed objects out.

    The mean of no objects is exact, without an interval: a printed figure, or a distance of all views together.
    """

    mean: Mean
    without_failed: Mean
    difference: PairedDifference | None = None

    @property
    def exact(self) -> bool:
        """Whether there is no interval."""
        return self.mean.objects == 0


@dataclass(frozen=True)
class TableRow:
    """A method's figures by metric, `kind` as printed, quoted or measured, and its failures."""

    method: str
    kind: str
    cells: dict[str, Cell]
    failed: int = 0
    source: str = ""


@dataclass(frozen=True)
class BenchmarkTable:
    """The table of a variant. `reference` is the method of the paired differences; empty with a single method."""

    variant: str
    note: str
    metrics: tuple[str, ...]
    rows: tuple[TableRow, ...]
    reference: str = ""


def benchmark_tables(protocol: Protocol, summaries: Sequence[Summary]) -> list[BenchmarkTable]:
    """Make a table for each variant. The first summary is the reference of paired differences."""
    return [_table(protocol, name, summaries) for name in protocol.variants]


def _table(protocol: Protocol, variant: str, summaries: Sequence[Summary]) -> BenchmarkTable:
    # Published figures were measured as published: beside a sounder variant they would mislead.
    printed = protocol.published if variant == PUBLISHED_VARIANT else ()
    metrics = _metrics(protocol, variant, summaries, [metric for row in printed for metric in row.figures])
    rows = [
        TableRow(
            row.method,
            QUOTED if row.quoted else PRINTED,
            {metric: Cell(_exact(row.figures[metric]), _exact(row.figures[metric])) for metric in row.figures},
            source=", ".join(filter(None, (row.source, row.where, QUOTED if row.quoted else ""))),
        )
        for row in printed
    ]
    reference = summaries[0] if len(summaries) > 1 else None
    rows += [_measured(variant, summary, reference) for summary in summaries]
    note = protocol.variants[variant].note
    return BenchmarkTable(variant, note, metrics, tuple(rows), reference.name if reference else "")


def _metrics(protocol: Protocol, variant: str, summaries: Sequence[Summary], printed: Sequence[str]) -> tuple[str, ...]:
    """Return the printed and the measured metrics in the order of the protocol, then distances of all views together.

    An F-score has a name for each threshold.
    """
    found = dict.fromkeys([*printed, *(name for summary in summaries for name in summary.figures.get(variant, {}))])
    asked = protocol.variants[variant].metrics
    single = [name for metric in asked for name in found if name.partition("@")[0] == metric]
    sets = [name for summary in summaries for name in summary.distances.get(variant, {})]
    return tuple(dict.fromkeys([*single, *(name for name in printed if name not in single), *sets]))


def _measured(variant: str, summary: Summary, reference: Summary | None) -> TableRow:
    cells = {}
    for metric in summary.figures.get(variant, {}):
        whole, good = (summary.mean(variant, metric, with_failed=flag) for flag in (True, False))
        # A method is not compared with itself.
        against = reference.figures.get(variant, {}).get(metric, {}) if reference and reference is not summary else {}
        cells[metric] = Cell(whole, good, _difference(summary.figures[variant][metric], against, metric))
    distances = summary.distances.get(variant, {})
    cells |= {metric: Cell(_exact(value), _exact(value)) for metric, value in distances.items()}
    return TableRow(summary.name, MEASURED, cells, failed=len(summary.failed))


def _difference(values: dict[str, float], against: dict[str, float], metric: str) -> PairedDifference | None:
    # Paired over common objects only: a difference of means over different objects says nothing.
    common, better = sorted(values.keys() & against.keys()), words_of(metric).higher_is_better
    if not common or better is None:
        return None
    first, second = (np.array([side[uid] for uid in common]) for side in (values, against))
    return paired_difference(first, second, higher_is_better=better)


def _exact(value: float) -> Mean:
    return Mean(value, value, value, 0)


def markdown_text(table: BenchmarkTable) -> str:
    """Format as Markdown: `mean [low, high]`; printed rows have no interval."""
    header = ["method", *(f"{words_of(m).label}{words_of(m).arrow}" for m in table.metrics), "failed", "row"]
    rows = []
    for row in table.rows:
        cells = [cell_text(row, metric) for metric in table.metrics]
        rows.append([name_text(row.method), *cells, str(row.failed) if row.kind == MEASURED else "–", row.kind])
    text = markdown_table(header, rows)
    return f"{text}\n\n{differences_text(table)}".rstrip()


def cell_text(row: TableRow, metric: str) -> str:
    """Format a figure with its interval."""
    if metric not in row.cells:
        return "–"
    cell, digits = row.cells[metric], words_of(metric).digits
    if row.kind != MEASURED:
        return format_printed(cell.mean.value, digits)
    value = format_figure(cell.mean.value, digits)
    if cell.exact:
        return value
    text = f"{value} [{format_figure(cell.mean.low, digits)}, {format_figure(cell.mean.high, digits)}]"
    return f"{text} ({format_figure(cell.without_failed.value, digits)} without failed)" if row.failed else text


def differences_text(table: BenchmarkTable) -> str:
    """Format the paired differences to the reference, a line for each method and metric; empty without a reference."""
    lines = []
    for row in table.rows:
        pair = f"{name_text(row.method)} − {name_text(table.reference)}"
        for metric in table.metrics:
            found = row.cells[metric].difference if metric in row.cells else None
            if found:
                lines.append(f"- {pair}, {words_of(metric).label}: {difference_text(found, metric)}")
    return "\n".join(["Paired differences over the same objects:", "", *lines]) if lines else ""


def difference_text(found: PairedDifference, metric: str) -> str:
    """Format a paired difference with its interval, wins, losses and ties."""
    digits = words_of(metric).digits
    value = found.mean.value
    low, high = (format_figure(bound, digits) for bound in (found.mean.low, found.mean.high))
    # Infinite differences occur: the PSNR of a perfect view is infinite.
    signed = f"{value:+.{digits}f}" if np.isfinite(value) else format_figure(value, digits)
    return f"{signed} [{low}, {high}], better on {found.wins}, worse on {found.losses}, equal on {found.ties}"


def name_text(name: str) -> str:
    """Escape a method's name for Markdown. Hyphens, dots and round brackets stay readable: alone they mean nothing."""
    return re.sub(r"\\([-.()])", r"\1", markdown(name))


def csv_text(tables: Sequence[BenchmarkTable]) -> str:
    """Format all figures as CSV, a line for each variant, method and metric."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerows([csv_cell(cell) for cell in row] for row in figure_rows(tables))
    return stream.getvalue()


def figure_rows(tables: Sequence[BenchmarkTable]) -> list[list[str]]:
    """Return the lines of `csv_text` as text, the names of the columns first."""
    rows = [
        ["variant", "method", "row", "metric", "mean", "low", "high", "without_failed", "objects", "failed", "source"]
    ]
    for table in tables:
        for row in table.rows:
            for metric, cell in row.cells.items():
                # A printed figure has no interval, and an empty cell is no number.
                bounds = ["", ""] if cell.exact else [repr(cell.mean.low), repr(cell.mean.high)]
                facts = [repr(cell.mean.value), *bounds, repr(cell.without_failed.value), cell.mean.objects, row.failed]
                cells = (table.variant, row.method, row.kind, metric, *facts, row.source)
                rows.append([str(cell) for cell in cells])
    return rows


def latex_text(table: BenchmarkTable) -> str:
    """Format as a LaTeX tabular: the mean, and half the width of its interval."""
    heads = " & ".join(f"{latex(words_of(m).label)}{_latex_arrow(m)}" for m in table.metrics)
    lines = [f"\\begin{{tabular}}{{l{'r' * len(table.metrics)}}}", f"Method & {heads} \\\\ \\hline"]
    for row in table.rows:
        cells = " & ".join(_latex_cell(row, metric) for metric in table.metrics)
        name = f"{latex(row.method)}{LATEX_MARKS[row.kind]}"
        lines.append(f"{name} & {cells} \\\\")
    return "\n".join(
        [*lines, "\\end{tabular}", "% $^*$ as printed in the cited paper, $^\\dagger$ quoted by another text", ""]
    )


def latex(text: str) -> str:
    """Escape text for LaTeX."""
    # These three have no backslash form in text: `\^` and `\~` are accents.
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(special.get(c, f"\\{c}" if c in "&%$#_{}" else c) for c in text)


def _latex_arrow(metric: str) -> str:
    return {True: " $\\uparrow$", False: " $\\downarrow$", None: ""}[words_of(metric).higher_is_better]


def _latex_cell(row: TableRow, metric: str) -> str:
    if metric not in row.cells:
        return "--"
    cell, digits = row.cells[metric], words_of(metric).digits
    mean = cell.mean
    if row.kind != MEASURED:
        return format_printed(mean.value, digits)
    if not np.isfinite(mean.value):
        return "$\\infty$" if np.isinf(mean.value) else "--"
    half = (mean.high - mean.low) / 2.0
    # Papers print a half width, although a bootstrap interval need not be symmetric.
    return f"{mean.value:.{digits}f}" + ("" if cell.exact else f" $\\pm$ {half:.{digits}f}")
