"""Round numbers along an axis."""

import math


def linear_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Choose about `count` multiples of 1, 2 or 5 × 10ⁿ within [low, high]; the value itself if both are equal."""
    if high <= low:
        return [low]
    raw = (high - low) / count
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= raw * 0.999)
    # The tolerance keeps ticks that rounding puts just outside the range.
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Choose powers of ten within [low, high], and 2 and 5 between them on spans under two decades; low > 0."""
    factors = (1, 2, 5) if high / low < 100 else (1,)
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [factor * 10.0**exponent for exponent in exponents for factor in factors]
    inside = [tick for tick in ticks if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]
    # A narrow range may hold no power of ten at all.
    return inside if len(inside) >= 2 else linear_ticks(low, high, 4)


def tick_text(value: float) -> str:
    """Format a short label: 0, 0.05, 250, 12k, 1.5M, 2e-05."""
    size = abs(value)
    for limit, letter in ((1e6, "M"), (1e3, "k")):
        if size >= limit * (1 if letter == "M" else 10):
            return f"{value / limit:.4g}{letter}".replace("-", "\N{MINUS SIGN}")
    if 0 < size < 1e-4:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{float(mantissa):g}e{int(exponent)}".replace("-", "\N{MINUS SIGN}")
    return f"{value:.4g}".replace("-", "\N{MINUS SIGN}")
