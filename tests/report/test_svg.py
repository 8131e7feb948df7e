import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geometry.sphere import cartesian_from_spherical
from report.bars import Bar, BarRow, bar_table, share
from report.camera_sphere import camera_sphere, rotate_to_viewer
from report.curves import Series, line_chart, smooth
from report.ticks import linear_ticks, log_ticks, tick_text
from tests.report.facts import HOSTILE, cameras

ANY = st.floats(allow_nan=True, allow_infinity=True, width=32)


def points_of(svg: str) -> tuple[ElementTree.Element, np.ndarray]:
    """The parsed picture and every coordinate in it, (N, 2); fails where it is not well-formed XML."""
    root = ElementTree.fromstring(svg)
    pairs = [[0.0, 0.0]]
    for element in root.iter():
        if "points" in element.attrib:
            pairs += [[float(value) for value in pair.split(",")] for pair in element.attrib["points"].split()]
        for x, y in (("x", "y"), ("cx", "cy"), ("x1", "y1"), ("x2", "y2")):
            if x in element.attrib:
                pairs.append([float(element.attrib[x]), float(element.attrib[y])])
    return root, np.array(pairs)


def assert_inside(svg: str) -> ElementTree.Element:
    root, points = points_of(svg)
    left, top, width, height = (float(value) for value in root.attrib["viewBox"].split())
    assert np.isfinite(points).all()
    assert (points >= [left, top]).all()
    assert (points <= [left + width, top + height]).all()
    return root


@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.tuples(ANY, ANY), max_size=30), log_y=st.booleans(), smooth=st.integers(1, 9))
def test_any_data_give_well_formed_lines_inside_the_picture(values, log_y, smooth) -> None:
    x, y = [a for a, _ in values], [b for _, b in values]
    with np.errstate(over="ignore", under="ignore"):
        assert_inside(line_chart([Series("a", x, y, smooth), Series(HOSTILE, x[::-1], y)], label=HOSTILE, log_y=log_y))


def test_chart_axes_directions() -> None:
    for log_y in (False, True):
        svg = line_chart([Series("a", [1, 2, 3], [1, 10, 100])], label="a", log_y=log_y)
        line = re.search(r'class="line" points="([^"]*)"', svg)
        assert line is not None
        points = np.array([[float(value) for value in pair.split(",")] for pair in line[1].split()])
        assert (np.diff(points[:, 0]) > 0).all()
        assert (np.diff(points[:, 1]) < 0).all()
        if log_y:
            np.testing.assert_allclose(np.diff(points[:, 1])[0], np.diff(points[:, 1])[1], atol=0.11)


def test_legend_and_raw_line_appear_when_they_mean_something() -> None:
    alone = line_chart([Series("one", range(50), range(50), smooth=5)], label="l")
    assert 'class="line raw"' in alone
    assert "legend" not in alone
    both = line_chart([Series("one", [0, 1], [0, 1]), Series("two", [0, 1], [1, 0])], label="l")
    assert both.count('class="legend"') == 2
    assert "raw" not in both
    assert "no data" in line_chart([Series("one", [], [])], label="l")


def test_long_series_are_thinned_by_their_means() -> None:
    svg = line_chart([Series("a", range(100_000), [1.0, 3.0] * 50_000)], label="a")
    assert len(svg) < 20_000
    with pytest.raises(ValueError, match="as many x as y"):
        line_chart([Series("a", [1, 2], [1])], label="a")


@given(values=st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=40), window=st.integers(1, 12))
def test_smoothing_is_the_mean_of_the_window(values, window) -> None:
    slow = [
        np.mean(values[max(0, i - window // 2) : min(len(values), i + (window - 1) // 2 + 1)])
        for i in range(len(values))
    ]
    np.testing.assert_allclose(smooth(values, window), slow, atol=1e-4)


@given(low=st.floats(-1e6, 1e6), span=st.floats(1e-3, 1e6))
def test_ticks_are_few_and_inside(low, span) -> None:
    ticks = linear_ticks(low, low + span)
    assert 1 <= len(ticks) <= 12
    assert all(low - 1e-6 * span <= tick <= low + span * (1 + 1e-6) for tick in ticks)


def test_log_ticks_and_their_labels() -> None:
    assert log_ticks(0.15, 1.2) == pytest.approx([0.2, 0.5, 1.0])
    assert log_ticks(0.01, 100) == pytest.approx([0.01, 0.1, 1, 10, 100])
    assert [tick_text(value) for value in (0, 0.05, 250, 12_000, 1.5e6, 2e-5, -3)] == [
        "0", "0.05", "250", "12k", "1.5M", "2e−5", "−3",
    ]  # fmt: skip


def test_sphere_shows_every_camera_inside_the_picture() -> None:
    root = assert_inside(camera_sphere(cameras(12), label=HOSTILE, highlighted={1, 5}, move=(0, 7)))
    classes = [element.get("class", "") for element in root.iter("g")]
    assert len(classes) == 12
    assert sum("held" in name for name in classes) == 2
    behind = int((rotate_to_viewer(cameras_centres(12))[:, 2] < 0).sum())
    assert sum("back" in name for name in classes) == behind
    with pytest.raises(ValueError, match="cameras"):
        camera_sphere(np.zeros((2, 4, 4)), label="x")


def cameras_centres(count: int) -> np.ndarray:
    matrices = cameras(count)
    return np.stack([-matrix[:, :3].T @ matrix[:, 3] for matrix in matrices])


def test_up_is_up_and_the_viewer_sees_the_front() -> None:
    assert rotate_to_viewer([0, 0, 1])[1] > 0.9
    assert rotate_to_viewer([0, 0, 1])[0] == pytest.approx(0)
    np.testing.assert_allclose(np.linalg.norm(rotate_to_viewer(np.eye(3)), axis=1), 1.0)
    towards = cartesian_from_spherical(np.radians(90 - 22), np.radians(32), 1.0)
    np.testing.assert_allclose(rotate_to_viewer(towards), [0, 0, 1], atol=1e-12)


def test_bars_are_in_proportion_and_the_table_is_well_formed() -> None:
    rows = [
        BarRow(HOSTILE, (Bar(50.0, HOSTILE),)),
        BarRow("b", (Bar(200.0, "200"),), strong=True),
        BarRow("c", (Bar(None, "–"),)),
    ]
    table = bar_table(["Stage", "Time"], rows, label=HOSTILE)
    ElementTree.fromstring(table)
    assert re.findall(r"--w:([\d.]+)%", table) == ["25.0", "100.0", "0.0"]
    assert share(-1.0, 2.0) == share(float("nan"), 2.0) == share(1.0, 0.0) == 0.0
    with pytest.raises(ValueError, match="expected 1 bars"):
        bar_table(["a", "b"], [BarRow("x", ())], label="x")
