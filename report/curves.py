"""Line charts as inline SVG: no plotting library, colours from the page (light and dark), text as text.

Data are plain sequences. Values are left out when they are not finite or, on a log axis, not positive.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import ArrayLike, NDArray

from report.escape import fill, html
from report.ticks import linear_ticks, log_ticks, tick_text

Floats = NDArray[np.float64]
MAX_POINTS = 600
LEGEND_LETTERS = 24
COLOURS = (
    "var(--series-1, #2456e6)",
    "var(--series-2, #d9622b)",
    "var(--series-3, #0f8a6d)",
    "var(--series-4, #8a4fc7)",
)
MARGIN_LEFT, MARGIN_RIGHT, MARGIN_TOP, MARGIN_BOTTOM = 58.0, 18.0, 34.0, 40.0


@dataclass(frozen=True)
class Series:
    """A line: `y` (N,) over `x` (N,). `smooth` > 1 draws the mean over so many points, with the raw line faint."""

    name: str
    x: ArrayLike
    y: ArrayLike
    smooth: int = 1


@dataclass(frozen=True)
class _Frame:
    wh: tuple[float, float]
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    log_y: bool

    def place(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        """Map data to viewBox coordinates, clipped to the plot's rectangle."""
        across = _unit(np.asarray(x, np.float64), self.x_range)
        values, limits = np.asarray(y, np.float64), self.y_range
        if self.log_y:
            values, limits = np.log(values), (float(np.log(limits[0])), float(np.log(limits[1])))
        up = _unit(values, limits)
        width, height = self.wh
        return (
            MARGIN_LEFT + across * (width - MARGIN_LEFT - MARGIN_RIGHT),
            height - MARGIN_BOTTOM - up * (height - MARGIN_TOP - MARGIN_BOTTOM),
        )


def smooth(values: ArrayLike, window: int) -> Floats:
    """Average over `window` centred points (N,) → (N,); fewer near the ends."""
    array = np.asarray(values, np.float64)
    if window <= 1 or len(array) < 3:
        return array
    # Differences of sums are window means at a cost independent of the window.
    total = np.concatenate([[0.0], np.cumsum(array)])
    middle = np.arange(len(array))
    low, high = np.maximum(middle - window // 2, 0), np.minimum(middle + (window - 1) // 2 + 1, len(array))
    return np.asarray((total[high] - total[low]) / (high - low), np.float64)


def line_chart(
    series: Sequence[Series], *, label: str, x_label: str = "", y_label: str = "", log_y: bool = False,
    wh: tuple[float, float] = (720.0, 300.0),
) -> Markup:  # fmt: skip
    """The series as one `<svg>` with axes, ticks and a legend where there is more than one; `label` is its alt text."""
    lines = [(line, *_drawable(line, log_y=log_y)) for line in series]
    frame = _fit_frame([(x, y) for _, x, y in lines], wh, log_y=log_y)
    body = [_axes(frame, x_label, y_label)]
    for index, (line, x, y) in enumerate(lines):
        colour = COLOURS[index % len(COLOURS)]
        if line.smooth > 1:
            body.append(_path(frame, x, y, colour, "line raw"))
        body.append(_path(frame, x, smooth(y, line.smooth), colour, "line"))
    if len(lines) > 1:
        body.append(_legend(frame, [line.name for line in series]))
    if not any(len(x) for _, x, _ in lines):
        body.append(fill('<text class="empty" x="{:.1f}" y="{:.1f}">no data</text>', wh[0] / 2, wh[1] / 2))
    svg = Markup('<svg class="chart" viewBox="0 0 {:g} {:g}" role="img" aria-label="{}">{}</svg>')
    return svg.format(*wh, html(label), Markup("").join(body))


def _drawable(line: Series, *, log_y: bool) -> tuple[Floats, Floats]:
    x, y = np.asarray(line.x, np.float64).ravel(), np.asarray(line.y, np.float64).ravel()
    if x.shape != y.shape:
        raise ValueError(f"expected as many x as y in {line.name!r}, got {x.size} and {y.size}")
    # A line cannot show these points, and one of them would break the whole path.
    keep = np.isfinite(x) & np.isfinite(y) & ((y > 0) | (not log_y))
    x, y = x[keep], y[keep]
    if len(x) <= MAX_POINTS:
        return x, y
    # More points than pixels would only make the page large, so neighbours are averaged.
    cuts = np.linspace(0, len(x), MAX_POINTS + 1).astype(int)
    counts = np.diff(cuts)
    return np.add.reduceat(x, cuts[:-1]) / counts, np.add.reduceat(y, cuts[:-1]) / counts


def _fit_frame(lines: Sequence[tuple[Floats, Floats]], wh: tuple[float, float], *, log_y: bool) -> _Frame:
    xs = np.concatenate([x for x, _ in lines]) if lines else np.empty(0)
    ys = np.concatenate([y for _, y in lines]) if lines else np.empty(0)
    if not xs.size:
        return _Frame(wh, (0.0, 1.0), (1.0, 10.0) if log_y else (0.0, 1.0), log_y)
    low, high = float(ys.min()), float(ys.max())
    if log_y:
        # On a log axis a margin is a factor.
        low, high = low / 1.08, high * 1.08
    else:
        # A line far above zero is not squeezed; a line near zero shows the zero.
        low = min(0.0, low) if low < 0.35 * high else low
        pad = (high - low or abs(high) or 1.0) * 0.05
        low, high = (low if low == 0.0 else low - pad), high + pad
    return _Frame(wh, (float(xs.min()), float(xs.max())), (low, high), log_y)


def _unit(values: Floats, limits: tuple[float, float]) -> Floats:
    low, high = limits
    # A constant line runs through the middle.
    if high <= low:
        return np.full(values.shape, 0.5)
    return np.asarray(np.clip((values - low) / (high - low), 0.0, 1.0), np.float64)


def _axes(frame: _Frame, x_label: str, y_label: str) -> Markup:
    width, height = frame.wh
    parts = []
    ticks = log_ticks(*frame.y_range) if frame.log_y else linear_ticks(*frame.y_range, count=4)
    for value in ticks:
        y = float(frame.place([frame.x_range[0]], [value])[1][0])
        line = '<line class="grid" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>'
        parts.append(fill(line, MARGIN_LEFT, width - MARGIN_RIGHT, y, y))
        text = '<text class="tick" x="{:.1f}" y="{:.1f}" text-anchor="end">{}</text>'
        parts.append(fill(text, MARGIN_LEFT - 10, y + 4, tick_text(value)))
    for value in linear_ticks(*frame.x_range, count=6):
        x = float(frame.place([value], [frame.y_range[0]])[0][0])
        text = '<text class="tick" x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text>'
        parts.append(fill(text, x, height - MARGIN_BOTTOM + 19, tick_text(value)))
    if y_label:
        parts.append(fill('<text class="axis" x="{:.1f}" y="16">{}</text>', MARGIN_LEFT - 40, html(y_label)))
    if x_label:
        text = '<text class="axis" x="{:.1f}" y="{:.1f}" text-anchor="end">{}</text>'
        parts.append(fill(text, width - MARGIN_RIGHT, height - 4, html(x_label)))
    return Markup("").join(parts)


def _path(frame: _Frame, x: Floats, y: Floats, colour: str, css_class: str) -> Markup:
    across, down = frame.place(x, y)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across, down, strict=True))
    line = '<polyline class="{}" points="{}" fill="none" stroke="{}" stroke-linejoin="round"/>'
    return fill(line, css_class, points, colour)


def _short(name: str) -> str:
    return name if len(name) <= LEGEND_LETTERS else f"{name[: LEGEND_LETTERS - 1]}…"


def _legend(frame: _Frame, names: Sequence[str]) -> Markup:
    parts = []
    right = frame.wh[0] - MARGIN_RIGHT
    # From the right edge inwards, so the names stay in order.
    for index, name in reversed(list(enumerate(_short(name) for name in names))):
        text = '<text class="legend" x="{:.1f}" y="16" text-anchor="end">{}</text>'
        parts.append(fill(text, right, html(name)))
        # SVG does not tell the width of text before it is drawn, so it is estimated.
        right = max(right - 9.0 * len(name) - 8, 0.0)
        swatch = '<line class="line" x1="{:.1f}" x2="{:.1f}" y1="12" y2="12" stroke="{}"/>'
        parts.append(fill(swatch, max(right - 18, 0.0), right, COLOURS[index % len(COLOURS)]))
        right = max(right - 36, 0.0)
    return Markup("").join(reversed(parts))
