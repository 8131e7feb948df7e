import numpy as np
import pytest

from report.images import composite
from report.pages.object_page import InspectedObject
from report.pages.object_sheet import BETWEEN, CELL, GAP, HEAD, LABEL, MARGIN, SIDE, WARM, WIDTH, object_sheet, spell
from report.sphere_picture import CAMERA, MARKED, sphere_picture
from tests.report.facts import HOSTILE, PX, cameras, image


def shown(count: int = 7, **changes) -> InspectedObject:
    values = {
        "uid": "dog_1",
        "title": HOSTILE,
        "views": tuple(image(seed) for seed in range(count)),
        "extrinsics": cameras(count),
        "facts": {"licence": HOSTILE * 20, "author": "Zoë"},
        "view_facts": {},
    }
    return InspectedObject(**(values | changes))


def corner(index: int) -> tuple[int, int]:
    """(row, column) of a view's cell."""
    return MARGIN + HEAD + index // 6 * (CELL + LABEL + GAP), MARGIN + SIDE + BETWEEN + index % 6 * (CELL + GAP)


def test_views_are_in_their_cells_and_marked_views_framed() -> None:
    sheet = np.asarray(object_sheet([shown(marked={6})]))
    assert sheet.shape[1] == WIDTH
    for index in range(7):
        row, column = corner(index)
        inset = (CELL - PX) // 2
        cell = sheet[row + inset : row + inset + PX, column + inset : column + inset + PX]
        np.testing.assert_array_equal(cell, composite(image(index)))
        assert (tuple(sheet[row, column]) == WARM) == (index == 6)


def test_text_fits_and_objects_are_stacked() -> None:
    sheet = np.asarray(object_sheet([shown()]))
    assert (sheet[:-1, WIDTH - MARGIN :] == 255).all()
    twice = np.asarray(object_sheet([shown(), shown(2, seconds={"import": 1.0, "sample": 3.0, "x" * 400: 0.0})]))
    np.testing.assert_array_equal(twice[: len(sheet)], sheet)
    assert (twice[len(sheet) : -1, WIDTH - MARGIN :] == 255).all()
    with pytest.raises(ValueError, match="at least 1 object"):
        object_sheet([])


def test_seconds_cut_the_bar_in_proportion() -> None:
    with_seconds = object_sheet([shown(seconds={"import": 1.0, "sample": 3.0})])
    colours = with_seconds.getcolors(1 << 22)
    assert colours is not None
    counts = {colour: count for count, colour in colours}
    assert counts[217, 98, 43] / counts[36, 86, 230] > 1.2


def test_letters_that_the_font_lacks_are_spelled_otherwise() -> None:
    assert spell("Zoë Ångström 3 × 4 − 1…") == "Zoe Angstrom 3 x 4 - 1..."
    assert spell("犬の模型", instead="dog_1") == "dog_1"
    assert spell("a\x07 \n b") == "a? b"


def test_marked_cameras_are_orange() -> None:
    above = np.array([[[0.0, 1, 0, 0], [-1, 0, 0, 0], [0, 0, 1, -2]]])
    for marked, colour in (((), CAMERA), ((0,), MARKED)):
        colours = sphere_picture(above, 200, marked=marked).getcolors(1 << 20)
        assert colours is not None
        found = {told for _, told in colours}
        assert colour in found
        assert len({CAMERA, MARKED} & found) == 1
