"""The figures of bench.extents."""

import pytest

from bench.extents import Place, figures


def test_mean_and_spread_are_of_logarithms_and_shares_are_counted() -> None:
    places = [Place(0.5, 0.0, kept=True, kept_unknown=False), Place(2.0, 0.1, kept=True, kept_unknown=True)]
    facts = figures(places)
    assert (facts["mean"][0], facts["spread"][0]) == (pytest.approx(1.0), pytest.approx(0.6931, abs=1e-4))
    assert facts["kept"] == [1.0, 0.5]
    assert facts["off centre"][2] == pytest.approx(0.05)
