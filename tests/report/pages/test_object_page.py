import numpy as np
import pytest

from report.pages.object_page import InspectedObject, object_page
from tests.report.facts import HOSTILE, cameras, plain
from tests.report.reading import Reading


def inspected(**changes) -> InspectedObject:
    values = {
        "uid": "dog_1",
        "title": HOSTILE,
        "views": tuple(plain(seed) for seed in range(3)),
        "extrinsics": cameras(3),
        "facts": {"licence": HOSTILE, "sha256": "ab" * 32},
        "view_facts": {"Coverage": ["0.1", "0.2", HOSTILE]},
    }
    return InspectedObject(**(values | changes))


def test_page_shows_facts_and_is_inert() -> None:
    page = object_page(HOSTILE, [inspected(), inspected(uid="dog_2")], kicker="inspect", facts={"version": "1"})
    reading = Reading(page)
    assert "2 objects, 6 views." in reading.text
    assert "ab" * 32 in reading.text
    assert "<script" not in page
    assert all(target.startswith(("data:image/", "#")) for target in reading.targets)
    assert len(reading.all("svg")) == 2
    ids = [attrs["id"] for _, attrs in reading.elements if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_camera_angles_stand_in_the_table() -> None:
    above = np.array([[[0.0, 1, 0, 0], [-1, 0, 0, 0], [0, 0, 1, -2]]])
    one = inspected(views=(plain(0),), extrinsics=above, view_facts={})
    assert "90.0°2.000" in Reading(object_page("x", [one], kicker="", facts={})).text


def test_counts_that_differ_are_named() -> None:
    with pytest.raises(ValueError, match="dog_1: expected equally many views"):
        object_page("x", [inspected(extrinsics=cameras(2))], kicker="", facts={})
