"""Tables 1 to 4 of Zero-1-to-3 (arXiv 2303.11328) as files: printed rows first, then measured ones.

Tables 1 and 2 are novel views of Google Scanned Objects and of RTMV, Tables 3 and 4 meshes of them.
"""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from base.storage import write_atomically
from evaluation.benchmark_files import line_to_paste
from evaluation.benchmark_page import add_table
from evaluation.benchmark_table import BenchmarkTable, benchmark_tables, figure_rows, latex, latex_text, markdown_text
from evaluation.protocol import Protocol
from evaluation.summary import Summary
from report.escape import csv_cell
from report.page import Page

NAME = "paper-tables"
LEAD = (
    "Novel views and meshes. The paper's evaluation code was never released; these protocols come closest to it. Rows "
    "marked as printed are the paper's. Measured rows have 95 % intervals from a bootstrap over objects. Your objects "
    "differ from the paper's, so compare measured rows with each other, by their paired differences."
)


@dataclass(frozen=True)
class PaperTable:
    """A table of the paper: its `number`, its protocol, and which `data` it needs, gso or rtmv."""

    number: int
    protocol: str
    data: str

    @property
    def title(self) -> str:
        """Return the table's name in the paper."""
        return f"Table {self.number}"


PAPER_TABLES = (
    PaperTable(1, "paper-gso", "gso"),
    PaperTable(2, "paper-rtmv", "rtmv"),
    PaperTable(3, "paper-gso-mesh", "gso"),
    PaperTable(4, "paper-rtmv-mesh", "rtmv"),
)


@dataclass(frozen=True)
class MeasuredTable:
    """A table with the summaries of its measured methods, the reference first; `missing` says why there are none."""

    table: PaperTable
    protocol: Protocol
    summaries: tuple[Summary, ...] = ()
    missing: str = ""

    def variants(self) -> list[BenchmarkTable]:
        """Return the table under each variant of its protocol that has rows."""
        return [variant for variant in benchmark_tables(self.protocol, self.summaries) if variant.rows]


def write_paper_tables(out: Path, measured: Sequence[MeasuredTable], about: dict[str, str]) -> str:
    """Write `paper-tables` as HTML, LaTeX, CSV, JSON and Markdown into a folder; return the Markdown."""
    text = "\n".join(_markdown(each) for each in measured)
    values = json.dumps([_values(each) for each in measured], indent=1, ensure_ascii=False, allow_nan=False)
    for suffix, content in {
        "md": text,
        "csv": _csv(measured),
        "json": f"{values}\n",
        "tex": "\n".join(_latex(each) for each in measured),
        "html": _page(measured, about),
    }.items():
        write_atomically(out / f"{NAME}.{suffix}", content.encode())
    return text


def _markdown(measured: MeasuredTable) -> str:
    lines = [f"# {measured.protocol.title}", ""]
    lines += [measured.missing, ""] if measured.missing else []
    for variant in measured.variants():
        lines += [f"## {variant.variant}", "", variant.note, "", markdown_text(variant), ""]
    return "\n".join([*lines, *(line_to_paste(measured.protocol, each) for each in measured.summaries), ""])


def _csv(measured: Sequence[MeasuredTable]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    for number, each in enumerate(measured):
        head, *rows = figure_rows(each.variants())
        writer.writerows([["table", *head]] if number == 0 else [])
        writer.writerows([str(each.table.number), *map(csv_cell, row)] for row in rows)
    return stream.getvalue()


def _values(measured: MeasuredTable) -> dict[str, Any]:
    """Return a table as plain values; infinity and missing figures as text."""
    head, *rows = figure_rows(measured.variants())
    return {
        "table": measured.table.number,
        "protocol": measured.table.protocol,
        "protocol_digest": measured.protocol.digest(),
        "missing": measured.missing,
        "rows": [dict(zip(head, row, strict=True)) for row in rows],
        "paired": [
            {"variant": variant.variant, "method": row.method, "reference": variant.reference, "metric": metric}
            | {"mean": repr(found.mean.value), "low": repr(found.mean.low), "high": repr(found.mean.high)}
            | {key: value for key, value in asdict(found).items() if key != "mean"}
            for variant in measured.variants()
            for row in variant.rows
            for metric, cell in row.cells.items()
            if (found := cell.difference)
        ],
        "failed": {summary.name: summary.failed for summary in measured.summaries if summary.failed},
        "unusable": {uid: reason for summary in measured.summaries for uid, reason in summary.unusable.items()},
    }


def _latex(measured: MeasuredTable) -> str:
    parts = []
    for variant in measured.variants():
        caption = latex(f"{measured.protocol.title}, {variant.variant}: {variant.note}.")
        label = f"tab:{measured.table.protocol}-{variant.variant}"
        parts.append(
            f"\\begin{{table}}\n\\caption{{{caption}}}\\label{{{label}}}\n{latex_text(variant)}\\end{{table}}\n"
        )
    return "\n".join(parts)


def _page(measured: Sequence[MeasuredTable], about: dict[str, str]) -> str:
    page = Page("The four tables of Zero-1-to-3", kicker="zero123 paper-tables", lead=LEAD)
    for each in measured:
        section = page.section(each.protocol.title, each.protocol.summary)
        if each.missing:
            section.text(each.missing)
        for variant in each.variants():
            section.text(f"Variant {variant.variant}: {variant.note}.")
            add_table(section, variant)
        failures = [
            [uid, summary.name, reason]
            for summary in each.summaries
            for uid, reason in [*summary.failed.items(), *summary.unusable.items()]
        ]
        if failures:
            section.table(["object", "method", "reason"], failures, label=f"failed objects of {each.table.title}")
        section.points(*each.protocol.gaps)
    lines = [line_to_paste(each.protocol, summary) for each in measured for summary in each.summaries]
    page.section("To paste into a paper").code([*lines, *measured[0].protocol.bibtex.splitlines()])
    page.footer(about, "The page loads nothing.")
    return page.html()
