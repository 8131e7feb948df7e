"""Settings: strict, layered, and plain about every mistake."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from base.errors import UsageError
from base.settings import Layer, Section, merge, parse_overrides, read_yaml, validate


class Lens(Section):
    focal_mm: float = Field(gt=0)


class Camera(Section):
    hw: tuple[int, int]
    lens: Lens
    kind: Literal["sphere", "cube"]


class Saved(Section):
    root: Annotated[str, Field(min_length=1)]
    note: str | None
    names: tuple[str, ...]
    camera: Camera


GOOD = {"hw": [8, 8], "lens": {"focal_mm": 35}, "kind": "cube"}


def mistake(*layers: Layer) -> str:
    with pytest.raises(UsageError) as caught:
        validate(Camera, *layers)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_good_values_are_taken_and_frozen() -> None:
    camera = validate(Camera, Layer("a.yaml", GOOD))
    assert camera.hw == (8, 8)
    with pytest.raises(ValueError, match="frozen"):
        camera.kind = "sphere"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"lens": {"focal_mm": 0}}, "lens.focal_mm: expected greater than 0, got 0"),
        ({"lens": {"focal_mm": "35"}}, "lens.focal_mm: expected a valid number, got '35'"),
        ({"lens": {"focal": 3}}, "lens.focal: expected no such key, got 3"),
        ({"kind": "ring"}, "kind: expected 'sphere' or 'cube', got 'ring'"),
        ({"lens": 35}, "lens: expected a mapping, got 35"),
        ({"hw": 8}, "hw: expected a list, got 8"),
        ({"hw": [8]}, "hw.1: expected a value, got nothing"),
        ({"lens": {"focal_mm": float("nan")}}, "lens.focal_mm: expected a setting, got nan"),
    ],
)
def test_a_mistake_names_source_path_expected_and_got(change: dict, sentence: str) -> None:
    assert mistake(Layer("a.yaml", GOOD), Layer("--set", change)) == f"--set: {sentence}"


def test_a_missing_value_is_named() -> None:
    assert mistake(Layer("a.yaml", {"hw": [1, 1], "kind": "cube"})) == "a.yaml: lens: expected a value, got nothing"


def test_every_mistake_is_named_with_its_own_source() -> None:
    text = mistake(Layer("a.yaml", GOOD | {"colour": 1}), Layer("--set", {"kind": 7}))
    assert "a.yaml: colour: expected no such key" in text
    assert "--set: kind: expected" in text


def test_overrides_are_yaml_and_nest() -> None:
    values = parse_overrides(["lens.focal_mm=50", "hw=[4, 4]", "kind=sphere", "lens.focal_mm=24 # mm"], Camera)
    assert values == {"lens": {"focal_mm": 24}, "hw": [4, 4], "kind": "sphere"}


@pytest.mark.parametrize("text", ["render.samples", "=3", "a..b=3", "a=[1"])
def test_an_override_that_is_none_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="--set"):
        parse_overrides([text], Camera)


@pytest.mark.parametrize(
    "text",
    [
        "runs/x #1",
        "#1",
        "[1]",
        "{a}",
        "x: y",
        "2024-01-01",
        "1e5",
        "null",
        "a?b%20c",
        "it's",
        "- a",
        "*x",
        "&x",
        "!t x",
        "@",
    ],
)
def test_the_value_of_a_text_is_taken_as_it_is_written(text: str) -> None:
    """YAML would cut it at ` #`, or take it for a list, a date, a number or nothing."""
    assert parse_overrides([f"root={text}"], Saved) == {"root": text}
    assert parse_overrides([f"root='{text.replace(chr(39), chr(39) * 2)}'"], Saved) == {"root": text}
    if text != "null":
        assert parse_overrides([f"note={text}"], Saved) == {"note": text}


def test_only_the_value_of_a_text_is_taken_so() -> None:
    values = parse_overrides(
        ["note=null", "names=[a, b] # two", "camera.kind=cube", 'root="a\\tb"', "other=[1]"], Saved
    )
    assert values == {"note": None, "names": ["a", "b"], "camera": {"kind": "cube"}, "root": "a\tb", "other": [1]}


def test_a_value_that_is_not_utf8_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"--set root: expected a value in UTF-8, got 'caf.udce9'"):
        parse_overrides(["root=caf\udce9"], Saved)


NESTED = st.recursive(st.integers(), lambda inner: st.dictionaries(st.sampled_from("abc"), inner), max_leaves=8)
MAPPINGS = st.dictionaries(st.sampled_from("abc"), NESTED)


@given(MAPPINGS, MAPPINGS)
def test_merge_prefers_the_upper_layer(below: dict, above: dict) -> None:
    result = merge(below, above)
    assert set(result) == set(below) | set(above)
    assert merge(result, above) == result
    for key in set(below) - set(above):
        assert result[key] == below[key]


@pytest.mark.parametrize(("content", "got"), [(b"a: [", "YAML"), (b"- 1", "list"), (b"\xff\xfe\xfa", "utf-8")])
def test_a_file_that_is_no_mapping_is_one_sentence(tmp_path: Path, content: bytes, got: str) -> None:
    path = tmp_path / "settings.yaml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=rf"settings\.yaml: expected .*{got}"):
        read_yaml(path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: expected 'a' once, got it again after line 1"),
        ("a:\n  b: 1\n  'b': 1\n", "line 3: expected 'b' once, got it again after line 2"),
        ("a: {b: 1, b: 2}\n", "line 1: expected 'b' once, got it again after line 1"),
        ("a:\n- b: 1\n  c: 2\n  b: 1\n", "line 4: expected 'b' once, got it again after line 2"),
    ],
)
def test_a_doubled_key_is_refused_with_file_line_and_key(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_yaml(path)
    assert str(caught.value) == f"{path}: {sentence}"


def test_a_doubled_key_in_an_override_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^--set lens: line 1: expected 'focal_mm' once"):
        parse_overrides(["lens={focal_mm: 1, focal_mm: 2}"], Camera)


def test_a_merged_key_may_stand_beside_its_replacement(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("b: &b {x: 0, y: 0}\nouter: {inner: {a: &a {<<: *b, x: 1}}}\nc: {<<: *a, x: 2}\n")
    assert read_yaml(path)["outer"]["inner"]["a"] == {"x": 1, "y": 0}
    assert read_yaml(path)["c"] == {"x": 2, "y": 0}


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.yaml: expected a readable YAML file, got: No such file or directory$"):
        read_yaml(tmp_path / "none.yaml")


def test_the_digest_follows_the_values_alone() -> None:
    one = validate(Camera, Layer("a", GOOD))
    other = validate(Camera, Layer("b", dict(reversed(GOOD.items()))))
    assert one.digest() == other.digest()
    assert one.digest() != validate(Camera, Layer("a", GOOD | {"hw": [8, 9]})).digest()
