"""What a table says of each metric: its label, digits, unit and direction."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class MetricWords:
    """`higher_is_better` is None for counts without a direction."""

    label: str
    digits: int
    higher_is_better: bool | None

    @property
    def arrow(self) -> str:
        """Return ↑, ↓ or nothing."""
        return {True: " ↑", False: " ↓", None: ""}[self.higher_is_better]


UNDISCLOSED = "fid/undisclosed"
"""A published Fréchet distance in undisclosed features: it is shown, but never measured."""

GROUPS: tuple[tuple[str, MetricWords], ...] = (
    ("psnr/foreground", MetricWords("PSNR of the foreground, dB", 2, higher_is_better=True)),
    ("psnr", MetricWords("PSNR, dB", 2, higher_is_better=True)),
    ("ssim", MetricWords("SSIM", 3, higher_is_better=True)),
    ("lpips", MetricWords("LPIPS", 3, higher_is_better=False)),
    ("haarpsi", MetricWords("HaarPSI", 3, higher_is_better=True)),
    ("clip-similarity", MetricWords("CLIP similarity", 3, higher_is_better=True)),
    ("mask-iou", MetricWords("mask IoU", 3, higher_is_better=True)),
    ("l1", MetricWords("L1", 4, higher_is_better=False)),
    ("fid", MetricWords("Fréchet distance", 3, higher_is_better=False)),
    ("kid", MetricWords("kernel distance", 4, higher_is_better=False)),
    ("chamfer/floor", MetricWords("floor of Chamfer", 4, higher_is_better=None)),
    ("chamfer", MetricWords("Chamfer", 4, higher_is_better=False)),
    ("f-score", MetricWords("F-score", 3, higher_is_better=True)),
    ("normal-consistency", MetricWords("normal consistency", 3, higher_is_better=True)),
    ("iou", MetricWords("volumetric IoU", 4, higher_is_better=True)),
    ("open-edges", MetricWords("open edges", 0, higher_is_better=None)),
    ("branching-edges", MetricWords("branching edges", 0, higher_is_better=None)),
    ("parts", MetricWords("parts", 1, higher_is_better=None)),
    ("watertight", MetricWords("watertight", 2, higher_is_better=True)),
    ("faces", MetricWords("faces", 0, higher_is_better=None)),
)


def words_of(metric: str) -> MetricWords:
    """Return the words of a metric's name; its variant follows the label in brackets."""
    # Longer prefixes come first in `GROUPS`, so `psnr/foreground` is not taken for a variant of `psnr`.
    for prefix, words in GROUPS:
        if metric == prefix or metric.startswith((f"{prefix}/", f"{prefix}@")):
            variant = metric[len(prefix) :].lstrip("/")
            return MetricWords(
                f"{words.label} ({variant})" if variant else words.label, words.digits, words.higher_is_better
            )
    return MetricWords(metric, 4, None)


def format_figure(value: float, digits: int) -> str:
    """Format a figure; infinity as ∞, a missing figure as –."""
    if math.isnan(value):
        return "–"
    return "∞" if math.isinf(value) else f"{value:.{digits}f}"


def format_printed(value: float, digits: int) -> str:
    """Format a printed figure with all its digits, and at least `digits`."""
    return format_figure(value, max(digits, len(repr(value).partition(".")[2])))
