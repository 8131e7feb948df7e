"""What may be told of an address."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.fetch.addresses import BESIDE, SCHEMES, SECRETS, SIGNATURES, has_user, public_address

DOCS = Path(__file__).parents[3] / "docs" / "objects.md"
PLACE = "https://a.example/b/chair.glb"


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("?X-Amz-Algorithm=A&X-Amz-Credential=k%2Fd&X-Amz-Date=d&X-Amz-Expires=9&X-Amz-SignedHeaders=host"
         "&X-Amz-Security-Token=t&X-Amz-Signature=s&versionId=7", "?versionId=7"),
        ("?X-Goog-Algorithm=A&X-Goog-Credential=k&X-Goog-Date=d&X-Goog-Expires=9&X-Goog-Signature=s", ""),
        ("?x-oss-signature=s&x-oss-credential=k&x-oss-date=d", ""),
        ("?AWSAccessKeyId=k&Signature=s&Expires=9", ""),
        ("?v=1&Policy=p&Signature=s&Key-Pair-Id=k", "?v=1"),
        ("?Expires=9&KeyName=k&Signature=s", ""),
        ("?sv=2022&st=a&se=b&sr=b&sp=r&spr=https&sig=s%3D", ""),
        ("?alt=media&token=t", "?alt=media"),
        ("?access_token=t#part", "#part"),
        ("?%58-amz-signature=s&SIG=t&b=2&a=1", "?b=2&a=1"),
        ("?Expires=9&st=2&sp=3", "?Expires=9&st=2&sp=3"),
        ("?v=1&w=%20&&x", "?v=1&w=%20&&x"),
        ("?", "?"),
        ("", ""),
    ],
)  # fmt: skip
def test_what_lets_in_is_left_out_and_nothing_else(query: str, left: str) -> None:
    assert public_address(f"{PLACE}{query}") == f"{PLACE}{left}"


def test_the_page_names_all_that_is_left_out_and_no_more() -> None:
    listed = DOCS.read_text(encoding="utf-8").partition("In any letter case,")[2].partition("Two addresses")[0]
    prefixes, always, beside = (
        {name.lower() for name in re.findall(r"`([^`]+)`", part)} for part in listed.split("\n- ")[1:]
    )
    assert prefixes == set(SCHEMES)
    assert always == SECRETS
    assert beside == BESIDE | SIGNATURES


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("https://ann:pw@a.example/x", "https://a.example/x"),
        ("https://ann@a.example/x?v=@", "https://a.example/x?v=@"),
        ("https://ann:p@w@a.example", "https://a.example"),
        ("ann:pw@a.example/x", "ann:a.example/x"),
        ("https:///ann:pw@a.example/x", "https:///a.example/x"),
    ],
)
def test_a_user_is_seen_and_not_told(address: str, public: str) -> None:
    assert has_user(address)
    assert public_address(address) == public


@pytest.mark.parametrize("address", ["https://a.example/@ann/x.glb", "https://a.example?x=a@b", "https://a.example#@"])
def test_an_at_elsewhere_is_no_user(address: str) -> None:
    assert not has_user(address)
    assert public_address(address) == address


@given(st.text("ab:/?#&=@%.", max_size=30))
def test_told_once_or_twice_is_the_same(address: str) -> None:
    public = public_address(address)
    assert public_address(public) == public or has_user(public)
