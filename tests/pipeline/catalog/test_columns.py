"""Records held as columns behave as a dictionary of them does."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.catalog.columns import Columns
from pipeline.catalog.objects import SourceObject, uid_order
from pipeline.plan.assign import uid_digests

UIDS = st.text("abcXYZ019_-", min_size=1, max_size=64)
OBJECTS = st.builds(
    SourceObject,
    uid=UIDS,
    source=st.sampled_from(["folder", "urls"]),
    location=st.text(max_size=5),
    title=st.text(max_size=5),
    likes=st.integers(-1, 2**60),
)


@given(st.lists(OBJECTS, max_size=20), st.lists(UIDS, max_size=5))
def test_they_are_a_mapping_in_order_of_uid(objects: list[SourceObject], others: list[str]) -> None:
    columns, reference = Columns.of(SourceObject, objects), {one.uid: one for one in objects}
    assert list(columns) == sorted(reference)
    assert dict(columns) == reference
    for uid in others:
        assert (uid in columns) == (uid in reference)
    assert list(columns.records()) == [reference[uid] for uid in sorted(reference)]


@given(st.lists(OBJECTS, max_size=20), st.lists(OBJECTS, max_size=20))
def test_they_are_laid_beside_others(objects: list[SourceObject], others: list[SourceObject]) -> None:
    columns, beside = Columns.of(SourceObject, objects), Columns.of(SourceObject, others)
    indices = columns.indices(beside.uids)
    for name, absent in (("title", "none"), ("source", "none"), ("likes", -7)):
        expected = [getattr(columns[uid], name) if uid in columns else absent for uid in beside]
        assert columns.align(name, indices, absent).to_pylist() == expected


def test_texts_are_counted() -> None:
    objects = [
        SourceObject(uid=uid, source="urls", location=uid, licence=licence)
        for uid, licence in zip("abcd", "yxyz", strict=True)
    ]
    columns = Columns.of(SourceObject, objects)
    assert list(columns.counts("licence").items()) == [("y", 2), ("x", 1), ("z", 1)]
    assert columns.counts("licence", columns.indices(["b", "d"])) == {"x": 1, "z": 1}


@given(st.lists(UIDS, unique=True, max_size=30))
def test_many_uids_are_ordered_as_one_by_one(uids: list[str]) -> None:
    order = np.argsort(uid_digests(np.array(uids, np.bytes_)))
    assert [uids[place] for place in order] == sorted(uids, key=uid_order)
