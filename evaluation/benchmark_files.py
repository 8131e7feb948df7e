"""The files of a scored folder or a comparison: tables as Markdown, CSV and LaTeX, all rows, a page, lines to paste."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from base.errors import Failure
from base.storage import write_atomically
from base.versions import versions
from evaluation.baselines import on_white
from evaluation.benchmark_page import BenchmarkFacts, benchmark_page
from evaluation.benchmark_table import BenchmarkTable, benchmark_tables, csv_text, latex_text, markdown_text
from evaluation.breakdown import breakdown_rows, worst_views
from evaluation.datasets.open import open_dataset
from evaluation.metric_words import format_figure, words_of
from evaluation.predictions import Predictions
from evaluation.protocol import Protocol
from evaluation.results import ObjectResult
from evaluation.scoring import ScoringJob
from evaluation.summary import Summary, read_results
from report.escape import csv_cell
from report.pages.evaluation_page import ShownPair

WORST = 5


def say_summary(out: Path, protocol: Protocol, summary: Summary, job: ScoringJob, objects: int) -> str:
    """Write all files of a scored folder; return the table and where things are."""
    worst = _worst_pictures(out, protocol, summary, job) if protocol.kind == "views" else []
    text = _write(out, protocol, [(out, summary)], worst)
    # All rows, so that people can compute other statistics than ours.
    write_atomically(out / "rows.csv", _rows_csv(read_results(out, summary)).encode())
    notes = [f"{objects} objects, {len(summary.failed)} failed, {len(summary.unusable)} with a damaged truth"]
    notes += [f"failed: {uid}: {reason}" for uid, reason in sorted(summary.failed.items())]
    notes += [f"damaged truth: {uid}: {reason}" for uid, reason in sorted(summary.unusable.items())]
    if summary.unmeasured:
        notes.append(f"not measured, because no network was given: {', '.join(summary.unmeasured)}")
    return "\n".join([text, *notes, "", f"report: {out / 'report.html'}"])


def write_comparison(out: Path, protocol: Protocol, scored: Sequence[tuple[Path, Summary]]) -> str:
    """Write the files of a comparison; return its tables."""
    return f"{_write(out, protocol, scored, [])}\nreport: {out / 'report.html'}"


def line_to_paste(protocol: Protocol, summary: Summary) -> str:
    """Return a line with the first variant's figures, the protocol's digest and the failures."""
    # Variants keep the order of the YAML file; the first is the one to cite.
    variant = next(iter(protocol.variants))
    figures = [
        f"{words_of(metric).label} {format_figure(mean.value, words_of(metric).digits)} "
        f"[{format_figure(mean.low, words_of(metric).digits)}, {format_figure(mean.high, words_of(metric).digits)}]"
        for metric in summary.figures.get(variant, {})
        for mean in [summary.mean(variant, metric)]
    ]
    # Distances of all views together have no interval.
    figures += [
        f"{words_of(metric).label} {format_figure(value, words_of(metric).digits)}"
        for metric, value in summary.distances.get(variant, {}).items()
    ]
    basis = f"{summary.protocol}, {variant}, protocol digest {summary.protocol_digest}"
    objects = f"{summary.objects} objects, {len(summary.failed)} failed, 95 % bootstrap over objects"
    return f"{summary.name}: {', '.join(figures)} ({basis}, {objects})"


def _write(out: Path, protocol: Protocol, scored: Sequence[tuple[Path, Summary]], worst: Sequence[ShownPair]) -> str:
    summaries = [summary for _, summary in scored]
    tables = benchmark_tables(protocol, summaries)
    paste = [line_to_paste(protocol, summary) for summary in summaries]
    text = "\n".join(_variant_text(table) for table in tables)
    write_atomically(out / "table.md", f"{text}\n{chr(10).join(paste)}\n".encode())
    write_atomically(out / "table.csv", csv_text(tables).encode())
    write_atomically(out / "table.tex", "\n".join(latex_text(table) for table in tables).encode())
    write_atomically(out / "cite.txt", f"{chr(10).join(paste)}\n\n{protocol.bibtex}".encode())
    variant = list(protocol.variants)[-1]
    metric = next(iter(summaries[0].figures.get(variant, {})), "")
    rows = {summary.name: breakdown_rows(read_results(folder, summary), variant, metric) for folder, summary in scored}
    facts = BenchmarkFacts(
        protocol=protocol,
        tables=tables,
        breakdown={name: found for name, found in rows.items() if found},
        breakdown_metric=metric,
        failed={summary.name: summary.failed for summary in summaries if summary.failed},
        unmeasured=summaries[0].unmeasured,
        worst=worst,
        to_paste=[*paste, protocol.bibtex],
        about={
            "protocol": f"{summaries[0].protocol} {summaries[0].protocol_digest}",
            **summaries[0].networks,
            **versions(),
        },
    )
    write_atomically(out / "report.html", benchmark_page(facts).encode())
    return text


def _variant_text(table: BenchmarkTable) -> str:
    return f"## {table.variant}\n\n{table.note}\n\n{markdown_text(table)}\n"


def _rows_csv(results: Sequence[ObjectResult]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["uid", "status", "variant", "view", "sample", "metric", "value"])
    for result in results:
        for row in result.rows:
            cells = (
                result.uid,
                result.status,
                row.variant or "facts",
                row.view,
                row.sample,
                row.metric,
                # `repr` is the shortest text that gives the same float again.
                repr(row.value),
            )
            # Spreadsheets run cells that begin with `=`, and names come from outside.
            writer.writerow([csv_cell(cell) for cell in cells])
    return stream.getvalue()


def _worst_pictures(out: Path, protocol: Protocol, summary: Summary, job: ScoringJob) -> list[ShownPair]:
    """Read the worst views again, beside the input and the truth."""
    variant = list(protocol.variants)[-1]
    metric = next(iter(summary.figures.get(variant, {})), "")
    good = [result for result in read_results(out, summary) if result.status == "ok"]
    dataset, predictions = open_dataset(protocol.data.loader, job.data), Predictions(job.predictions)
    pairs = []
    for uid, name, value in worst_views(good, variant, metric, WORST):
        truth = dataset.load(uid)
        # A row keeps a view's name, pictures are read by its number.
        target = next(number for number in protocol.targets if truth.views[number].name == name)
        title = f"{uid}, view {name}: {words_of(metric).label} {format_figure(value, words_of(metric).digits)}"
        try:
            made = predictions.view_samples(uid, (target,), len(truth.views), None)[0][target]
        except Failure:  # a strip or a sheet holds all views, not a single target
            made = predictions.view_samples(uid, protocol.targets, len(truth.views), protocol.required_hw)[0][target]
        pictures = {
            "input": on_white(truth.views[protocol.inputs[0]].read()),
            "prediction": _rgb(made),
            "truth": on_white(truth.views[target].read()),
        }
        pairs.append(ShownPair(title=title, pictures=pictures))
    return pairs


def _rgb(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return on_white(pixels) if pixels.shape[-1] == 4 else pixels
