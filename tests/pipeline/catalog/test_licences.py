"""Spellings of licences: equal ones are recognised, and no wording makes a restricted licence a free one."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.catalog.licences import is_same_licence, licence_key
from pipeline.catalog.objects import SourceObject
from pipeline.plan.filters import refusal
from pipeline.settings import FilterSettings

SHIPPED = ("cc0", "by", "CC0-1.0", "CC-BY-4.0", "CC-BY-3.0", "MIT", "Apache-2.0")
SETTINGS = FilterSettings(
    licences=SHIPPED, unstated_licence="own", categories=(), text=(), faces=(0, 0), vertices=(0, 0), animated="any",
    likes=0,
)  # fmt: skip


def is_taken(licence: str) -> bool:
    return not refusal(SourceObject(uid="a", source="folder", location="/a", licence=licence), SETTINGS)


@pytest.mark.parametrize(
    ("key", "spellings"),
    [
        ("cc-by-4.0", ("CC BY 4.0", "cc-by-4.0", "https://creativecommons.org/licenses/by/4.0/deed.en", "BY\u00a04.0")),
        ("cc-by", ("by", "CC Attribution", "Creative Commons - Attribution", " CC\u200b-BY ")),
        ("cc0", ("CC0", "CC0-1.0", "http://creativecommons.org/publicdomain/zero/1.0", "CC0 Public Domain")),
        ("cc-by-nc-4.0", ("CC BY-NC 4.0", "by–nc 4.0", "Attribution-NonCommercial 4.0 International")),
        ("cc-by-nc-nd", ("cc-by-nc-nd", "CC Attribution-NonCommercial-NoDerivs", "BY NC ND", "by/nc/nd")),
        ("cc-by-sa-3.0", ("CC-BY-SA-3.0", "Attribution - Share Alike 3.0 Unported")),
        ("mit", ("MIT", "MIT License", "the mit licence")),
        ("apache-2.0", ("Apache-2.0", "Apache License, Version 2.0")),
    ],
)
def test_spellings_of_one_licence_have_one_key(key: str, spellings: tuple[str, ...]) -> None:
    assert {spelling: licence_key(spelling) for spelling in spellings} == dict.fromkeys(spellings, key)


@pytest.mark.parametrize(
    "licence",
    [
        *("CC BY-NC 4.0", "cc-by-nc-nd", "by-sa", "CC-BY-4.0 OR CC-BY-NC-4.0", "CC-BY-4.0, CC-BY-NC-4.0", "not CC0"),
        *("CC BY (no commercial use)", "CC-BY-3.0-US", "CC BY / CC BY-NC", "unknown", "-", "none", "CC-BY-1.0", "free"),
        *("https://creativecommons.org/licenses/by-nc/4.0/", "https://creativecommons.org.example/licenses/by/4.0/"),
        *("CC0 BY-NC", "by nc", "BY-NON-COMMERCIAL", "CC BY non\u00adcommercial", "MIT + Commons Clause", "\u0441c0"),
    ],
)
def test_what_is_restricted_or_not_understood_is_left_out(licence: str) -> None:
    assert not is_taken(licence)


def test_free_licences_are_taken_in_any_spelling() -> None:
    for licence in (*SHIPPED, "CC BY 4.0", "cc by", " MIT License", "https://creativecommons.org/licenses/by/3.0/", ""):
        assert is_taken(licence), licence


WORDS = ["cc", "by", "nc", "nd", "sa", "4.0", "Attribution", "Non Commercial", "-", "0", "International", "Share Alike"]


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=7), st.sampled_from([" ", "-", "_", "\u00a0", " - "]))
def test_no_arrangement_of_words_frees_a_restricted_licence(words: list[str], between: str) -> None:
    restricted = {"nc", "nd", "sa", "Non Commercial", "Share Alike"}
    assert not (restricted.intersection(words) and is_taken(between.join(words)))


def test_texts_of_one_licence_may_leave_out_its_version_alone() -> None:
    same = ("by", "CC Attribution", "https://creativecommons.org/licenses/by/4.0/")
    assert is_same_licence(same)
    for other in ("by-nc", "CC-BY-3.0", "cc0", "something"):
        assert not any(is_same_licence(pair) for pair in itertools.product(["CC-BY-4.0"], [other]))
