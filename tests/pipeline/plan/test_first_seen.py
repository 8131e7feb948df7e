"""Digests are found where they were met first, however many were met since."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.plan.first_seen import FirstIndices


@given(st.lists(st.integers(0, 9)))
def test_digests_are_met_first_where_a_dict_says(numbers: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("pipeline.plan.first_seen.CHUNK", 3)
        met, expected = FirstIndices(), dict[bytes, int]()
        for place, number in enumerate(numbers):
            digest = number.to_bytes(16, "little")  # ends in zeros, which numpy does not keep
            assert met.of(digest, place) == expected.setdefault(digest, place)
