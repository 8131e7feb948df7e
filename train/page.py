"""`report.html` of a run: its curves, validations and versions, on a page."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from base.storage import write_atomically
from report.curves import Series, line_chart
from report.escape import fill
from report.images import data_uri
from report.numbers import count_text
from report.page import Metric, Page
from train.log import LogRow
from train.validation import ValidationScore, grid_path

NAME = "report.html"
X = "images seen"


def write_page(out: Path, rows: Sequence[LogRow], scores: Sequence[ValidationScore], facts: Mapping[str, str]) -> None:
    """Write the page of the run in `out`, with `facts` such as versions at its foot."""
    page = Page("Training", kicker=out.name, lead="What the run has learnt so far, and how fast.")
    page.metrics(*_headline(rows, scores))
    _curves(page, rows)
    _speed(page, rows)
    if scores:
        _validation(page, out, scores)
    page.footer(facts, "This page is a single file. It loads nothing, and it works without a network.")
    write_atomically(out / NAME, page.html().encode())


def _headline(rows: Sequence[LogRow], scores: Sequence[ValidationScore]) -> list[Metric]:
    shown = []
    if rows:
        last = rows[-1]
        use = "" if last.mfu is None else f"{last.mfu:.1%} of the device’s peak"
        shown = [
            Metric(count_text(last.images), "images learnt from"),
            Metric("—" if last.loss is None else f"{last.loss:.4f}", "loss at the end"),
            Metric(f"{last.images_per_s:,.1f}", "images a second", use),
            Metric(f"{last.data_wait:.1%}", "of the time spent waiting for data"),
            Metric(str(last.skipped), "steps skipped"),
        ]
    if scores:
        best = max(scores, key=lambda score: score.psnr_db)
        shown.append(Metric(f"{best.psnr_db:.2f} dB", "best PSNR on held-out views", f"at {best.images:,} images"))
    return shown


def _curves(page: Page, rows: Sequence[LogRow]) -> None:
    section = page.section("The loss", "Means since the point before; by part of the schedule, clean to noisy.")
    images = [row.images for row in rows]
    loss = Series("loss", images, [_known(row.loss) for row in rows], smooth=max(1, len(rows) // 40))
    parts = len(rows[-1].loss_by_timestep) if rows else 0
    split = [
        Series(f"part {part + 1} of {parts}", images, [_known(row.loss_by_timestep[part]) for row in rows])
        for part in range(parts)
    ]
    for series, label in (([loss], "Training loss"), (split, "Loss by part of the schedule")):
        chart = line_chart(series, label=label, x_label=X, y_label="loss (log)", log_y=True)
        section.figure(chart, label, css_class="panel")


def _speed(page: Page, rows: Sequence[LogRow]) -> None:
    section = page.section("The machine and the optimiser")
    images = [row.images for row in rows]
    for name, label in (
        ("images_per_s", "Images a second"),
        ("mfu", "Share of the device’s peak that went into the model (MFU)"),
        ("data_wait", "Share of the time spent waiting for data"),
        ("gradient_norm", "Norm of the gradient"),
        ("learning_rate", "Learning rate"),
        ("projection_rate", "Learning rate of the projection"),
    ):
        values = [getattr(row, name) for row in rows]
        if name == "mfu" and not any(values):
            continue  # the device's peak is not known
        chart = line_chart([Series(name, images, list(map(_known, values)))], label=label, x_label=X)
        section.figure(chart, label, css_class="panel")


def _validation(page: Page, out: Path, scores: Sequence[ValidationScore]) -> None:
    lead = f"The averaged weights sample {scores[-1].views} views, always the same ones from the same noise."
    section = page.section("Held-out views", lead)
    images = [score.images for score in scores]
    for name, label in (("psnr_db", "PSNR in dB"), ("ssim", "SSIM")):
        chart = line_chart([Series(name, images, [getattr(score, name) for score in scores])], label=label, x_label=X)
        section.figure(chart, label, css_class="panel")
    path = grid_path(out, scores[-1].images)
    if path.is_file():
        uri = data_uri(path.read_bytes(), "image/webp")
        picture = fill('<img src="{}" alt="{}">', uri, "Input, true view and sampled view of held-out objects")
        section.figure(picture, f"Input, truth and sample after {scores[-1].images:,} images.", css_class="stage")


def _known(value: float | None) -> float:
    return np.nan if value is None else value
