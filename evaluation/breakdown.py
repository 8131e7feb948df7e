"""Figures by view angle and by coverage of the picture: where a method is good, not only how good."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from evaluation.metric_words import format_figure, words_of
from evaluation.results import FACTS, ObjectResult

BINS = {
    # The last bounds are a little beyond the range, because ranges exclude their upper end.
    "angle_deg": ((0.0, 45.0), (45.0, 90.0), (90.0, 135.0), (135.0, 180.1)),
    "coverage": ((0.0, 0.15), (0.15, 0.3), (0.3, 1.01)),
}
WORDS = {"angle_deg": "angle to the input", "coverage": "coverage of the picture"}


def breakdown_rows(results: Sequence[ObjectResult], variant: str, metric: str) -> list[list[str]]:
    """Return rows (range, views, mean) for each range with views. Views count equally here."""
    values: dict[tuple[str, int], list[float]] = defaultdict(list)
    for result in results:
        facts = {(row.view, row.metric): row.value for row in result.rows if row.variant == FACTS}
        for row in result.rows:
            if (row.variant, row.metric) == (variant, metric) and not np.isnan(row.value):
                for fact, bins in BINS.items():
                    # A view without the fact is in no range.
                    where = facts.get((row.view, fact), -1.0)
                    for number, (low, high) in enumerate(bins):
                        if low <= where < high:
                            values[fact, number].append(row.value)
    return [
        [_range_text(fact, number), str(len(found)), format_figure(float(np.mean(found)), words_of(metric).digits)]
        for fact, bins in BINS.items()
        for number in range(len(bins))
        if (found := values.get((fact, number)))
    ]


def worst_views(results: Sequence[ObjectResult], variant: str, metric: str, count: int) -> list[tuple[str, str, float]]:
    """Return (uid, view, figure) of the worst views, the worst first; ties in the order of uid and view."""
    # Sorted ascending, the worst comes first: for a lower-is-better metric that is the greatest.
    sign = -1.0 if words_of(metric).higher_is_better is False else 1.0
    found = [
        (sign * row.value, result.uid, row.view)
        for result in results
        for row in result.rows
        if (row.variant, row.metric, row.sample) == (variant, metric, 0) and not np.isnan(row.value)
    ]
    return [(uid, view, sign * value) for value, uid, view in sorted(found)[:count]]


def _range_text(fact: str, number: int) -> str:
    low, high = BINS[fact][number]
    if fact == "coverage":
        return f"{WORDS[fact]} {low:.0%} to {min(high, 1.0):.0%}"
    return f"{WORDS[fact]} {low:.0f}° to {min(high, 180.0):.0f}°"
