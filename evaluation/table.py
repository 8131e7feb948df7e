"""Results as text for people and as plain values for JSON."""

from dataclasses import asdict
from typing import Any

from evaluation.novel_views import ANSWERS, NovelViews

NAMES = {
    "model": "the model",
    "input": "the input as it is",
    "white": "a white image",
    "mean_view": "mean of the training views",
}


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table with padded columns: the first to the left, the others to the right."""
    widths = [max(len(line[column]) for line in [header, *rows]) for column in range(len(header))]

    def line(cells: list[str]) -> str:
        padded = [
            f"{cell:<{w}}" if k == 0 else f"{cell:>{w}}" for k, (cell, w) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = [":" + "-" * (width - 1) if k == 0 else "-" * (width - 1) + ":" for k, width in enumerate(widths)]
    return "\n".join([line(header), line(rule), *map(line, rows)])


def novel_views_table(result: NovelViews) -> str:
    """Mean PSNR and SSIM of each answer, and the margin, as Markdown."""
    means, likeness = result.means("psnr"), result.means("ssim")
    rows = [[NAMES[answer], f"{means[answer]:.2f}", f"{likeness[answer]:.3f}"] for answer in ANSWERS]
    table = markdown_table([f"{len(result.rows)} held-out views", "PSNR dB", "SSIM"], rows)
    verdict = "enough" if result.passed else "too little"
    return (
        f"{table}\n\nmodel − better of input and white: {result.margin_db:+.2f} dB "
        f"({result.minimum_margin_db:+.2f} asked for: {verdict})"
    )


def novel_views_json(result: NovelViews) -> dict[str, Any]:
    """Everything but the pictures, as plain values."""
    return {
        "pairs": len(result.rows),
        "psnr_db": result.means("psnr"),
        "ssim": result.means("ssim"),
        "margin_db": result.margin_db,
        "minimum_margin_db": result.minimum_margin_db,
        "passed": result.passed,
        "rows": [asdict(row) for row in result.rows],
    }
