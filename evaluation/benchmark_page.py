"""The report of a benchmark as a self-contained page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evaluation.benchmark_table import MEASURED, BenchmarkTable, cell_text, difference_text
from evaluation.metric_words import words_of
from evaluation.protocol import Protocol
from report.escape import fill
from report.page import Page, Section
from report.pages.evaluation_page import ShownPair, pair_figure


@dataclass(frozen=True, kw_only=True)
class BenchmarkFacts:
    """What a page shows. `breakdown` maps a method to rows of evaluation.breakdown, `failed` to uid and reason.

    `worst` are pictures of the worst views, `to_paste` lines for a paper, `about` goes to the foot.
    """

    protocol: Protocol
    tables: Sequence[BenchmarkTable]
    breakdown: Mapping[str, Sequence[Sequence[str]]]
    breakdown_metric: str
    failed: Mapping[str, Mapping[str, str]]
    unmeasured: Sequence[str]
    worst: Sequence[ShownPair]
    to_paste: Sequence[str]
    about: Mapping[str, str]


def benchmark_page(facts: BenchmarkFacts) -> str:
    """Write the page as HTML."""
    page = Page(facts.protocol.title, kicker="zero123 benchmark", lead=facts.protocol.summary)
    for table in facts.tables:
        section = page.section(f"Variant {table.variant}", table.note)
        add_table(section, table)
    if facts.unmeasured:
        section.text(f"Not measured, because no network was given: {', '.join(facts.unmeasured)}.")
    if facts.breakdown:
        section = page.section(
            "By angle and coverage", f"{words_of(facts.breakdown_metric).label}, the mean over views."
        )
        for method, rows in facts.breakdown.items():
            section.table([method, "views", "mean"], rows, label=f"{method} by angle and coverage")
    failures = [[uid, method, reason] for method, found in facts.failed.items() for uid, reason in found.items()]
    if failures:
        section = page.section("Failed objects", "A failed object counts as the protocol says, not as missing.")
        section.table(["object", "method", "reason"], failures, label="failed objects")
    if facts.worst:
        section = page.section("The worst views", "Of the first method, by its first metric.")
        section.columns(*map(pair_figure, facts.worst), css_class="pairs")
    if facts.protocol.gaps:
        page.section("What this protocol leaves open").points(*facts.protocol.gaps)
    page.section("To paste into a paper").code([line for text in facts.to_paste for line in text.splitlines()])
    page.footer(facts.about, fill("Data: {}. The page loads nothing.", facts.protocol.data.licence))
    return page.html()


def add_table(section: Section, table: BenchmarkTable) -> None:
    """Append the table of a variant to a section, and its paired differences."""
    head = ["method", *(f"{words_of(m).label}{words_of(m).arrow}" for m in table.metrics), "failed", "row"]
    rows = [
        [
            row.method,
            *(cell_text(row, m) for m in table.metrics),
            str(row.failed) if row.kind == MEASURED else "–",
            row.source or row.kind,
        ]
        for row in table.rows
    ]
    section.table(head, rows, label=f"figures of variant {table.variant}")
    paired = [
        [f"{row.method} − {table.reference}", words_of(metric).label, difference_text(cell.difference, metric)]
        for row in table.rows
        for metric, cell in row.cells.items()
        if cell.difference
    ]
    if paired:
        section.table(["paired", "metric", "difference, 95 % interval, objects"], paired, label="paired differences")
