"""Format results as Markdown for people and as plain values for JSON."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from evaluation.novel_views import NEAR_DEG, NovelViews
from report.pages.answers import ANSWERS, MEASURES

DIGITS = {"db_bare": 2, "ratio": 3}
FIELDS = {
    "psnr_db": "psnr",
    "ssim": "ssim",
    "haarpsi_distance": "haarpsi_distance",
    "feature_distance": "feature_distance",
}
"""The JSON key of each measure → its field in `Row`."""
SHOWN_DIGITS = 16


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    """Format a Markdown table with padded columns: the first aligned left, the others right."""
    widths = [max(len(line[column]) for line in [header, *rows]) for column in range(len(header))]

    def line(cells: list[str]) -> str:
        padded = [
            f"{cell:<{w}}" if k == 0 else f"{cell:>{w}}" for k, (cell, w) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = [":" + "-" * (width - 1) if k == 0 else "-" * (width - 1) + ":" for k, width in enumerate(widths)]
    return "\n".join([line(header), line(rule), *map(line, rows)])


def measures_table(values: Mapping[str, Any], title: str) -> str:
    """Format the mean of each measure for each answer as Markdown, from the values of `novel_views_json`."""
    measures = {key: measure for key, measure in MEASURES.items() if values.get(key)}
    rows = [
        [answer.name, *(f"{values[key][name]:.{DIGITS[measure.kind]}f}" for key, measure in measures.items())]
        for name, answer in ANSWERS.items()
        if name in values["psnr_db"]
    ]
    return markdown_table([title, *(measure.name for measure in measures.values())], rows)


def novel_views_table(result: NovelViews) -> str:
    """Format every mean, the notes and the margin as Markdown."""
    values = novel_views_json(result)
    table = measures_table(values, f"{len(result.rows)} held-out views")
    verdict = "enough" if result.passed else "too little"
    return (
        f"{table}\n\n{' '.join(novel_views_notes(values))}\n\n"
        f"model − better of input and white: {result.margin_db:+.2f} dB "
        f"({result.minimum_margin_db:+.2f} asked for: {verdict})"
    )


def novel_views_notes(values: Mapping[str, Any]) -> list[str]:
    """Explain the figures of `novel_views_json` in sentences."""
    searched, network = values["training_objects"], values["network"]
    notes = ["Higher PSNR and SSIM are better, lower distances are better. HaarPSI is defined in arXiv 1607.06140."]
    notes += [
        f"The nearest training view is searched among {searched:,} training objects."
        if searched
        else "There is no nearest training view, because there were no training objects."
    ]
    if network:
        notes += [
            f"CLIP distance is 1 − the cosine of embeddings by a {network['name']} of {network['parameters']:,} "
            f"parameters at {network['side_px']} pixels, weights sha256 {network['weights_sha256'][:SHOWN_DIGITS]}."
        ]
    if near := values["near"]["psnr_db"]:
        notes += [
            f"For the {values['near']['pairs']} pairs of cameras at most {values['near']['degrees']:g}° apart, the "
            f"model has {near['model']:.2f} dB and the input as it is {near['input']:.2f} dB."
        ]
    return notes


def novel_views_json(result: NovelViews) -> dict[str, Any]:
    """Return everything but the pictures as plain values. A measure not taken is empty."""
    return {
        "dataset_version": result.version,
        "pairs": len(result.rows),
        **{measure: result.means(field) for measure, field in FIELDS.items()},
        "training_objects": result.training_objects,
        "training_version": result.training_version,
        "network": asdict(result.network) if result.network else None,
        "margin_db": result.margin_db,
        "near": {
            "degrees": NEAR_DEG,
            "pairs": sum(row.angle_deg <= NEAR_DEG for row in result.rows),
            "psnr_db": result.near_means(),
        },
        "minimum_margin_db": result.minimum_margin_db,
        "passed": result.passed,
        "rows": [asdict(row) for row in result.rows],
    }
