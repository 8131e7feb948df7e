"""The tables of bench.cutout."""

from bench.cutout import Outline, outline_table
from bench.cutout_views import view_table


def test_bad_outlines_are_counted_with_those_that_are_told() -> None:
    rows = [Outline("a", 0, kind, 0.95, 1.0, None) for kind in ("plain", "gradient", "shadow", "wood", "noise")]
    rows += [Outline("b", 0, "wood", 0.5, 0.2, "a doubtful outline"), Outline("c", 0, "wood", 0.6, 1.0, None)]
    wood = next(line for line in outline_table(rows).splitlines() if line.startswith("| wood"))
    assert [cell.strip() for cell in wood.split("|")[2:6]] == ["0.600", "33%", "1 of 2", "0 of 1"]


def test_a_refused_photo_costs_nothing_and_is_counted() -> None:
    rows = [{"psnr_db": {"clean render": 20.0, "wood": 19.5}}, {"psnr_db": {"clean render": 10.0, "wood": None}}]
    wood = view_table(rows).splitlines()[3]
    assert [cell.strip() for cell in wood.split("|")[1:5]] == ["wood", "19.50", "-0.50", "1 of 2"]
