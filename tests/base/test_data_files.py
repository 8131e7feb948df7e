"""Data files of people: what is read, and where each mistake is said to be."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from base.data_files import read_data_file, read_named
from base.errors import UsageError


@dataclass(frozen=True)
class Part:
    length: float
    name: str = ""


@dataclass(frozen=True)
class Whole:
    parts: tuple[Part, ...]
    limit: float | None = None


def test_a_name_is_a_shipped_file_and_a_path_is_itself(tmp_path: Path) -> None:
    (tmp_path / "shipped").mkdir()
    (tmp_path / "shipped" / "two.yaml").write_text("parts: [{length: 1}, {length: 2.5, name: long}]\n")
    (tmp_path / "mine.yaml").write_text("parts: [{length: 3}]\nlimit: 4\n")
    shipped = read_named(Whole, "two", tmp_path / "shipped", "--whole")
    assert shipped == Whole((Part(1.0), Part(2.5, "long")))
    assert read_named(Whole, str(tmp_path / "mine.yaml"), tmp_path / "shipped", "--whole") == Whole((Part(3.0),), 4.0)
    with pytest.raises(UsageError, match="--whole: expected two or a YAML file, got 'three'"):
        read_named(Whole, "three", tmp_path / "shipped", "--whole")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("limit: 1\nparts:\n  - length: 1\n  - name: x\n", ":4: parts.1.length: expected a value, got nothing"),
        ("parts:\n  - length: x\n", ":2: parts.0.length: expected a valid number, got 'x'"),
        ("limit: 1\nparts: 3\n", ":2: parts: expected a list, got 3"),
        ("parts:\n  - 7\n", ":2: parts.0: expected a mapping, got 7"),
        ("parts: [{length: .nan}]\n", ": expected numbers, text, lists and mappings, got"),
        ("parts: [{length: 2024-01-01}]\n", ": expected numbers, text, lists and mappings, got"),
        ("parts: &a [{length: 1}]\nlimit: *a\n", ": expected YAML without aliases"),
        ("parts: [\n", ": expected YAML, got: while parsing a flow node"),
        ("- 1\n", ": expected a mapping at the top, got list"),
        ("", ": expected a mapping at the top, got NoneType"),
    ],
)
def test_a_mistake_is_said_with_file_line_and_key(text: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_data_file(Whole, file)
    assert str(caught.value).startswith(f"{file}{told}")
    assert "\n" not in str(caught.value)


def test_aliases_do_not_unfold(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    (tmp_path / "bomb.yaml").write_text("\n".join(lines))
    with pytest.raises(UsageError, match="without aliases"):
        read_data_file(Whole, tmp_path / "bomb.yaml")


def test_missing_large_and_folder_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "large.yaml").write_text("#" * (2 << 20))
    for path in (tmp_path / "none.yaml", tmp_path, tmp_path / "large.yaml"):
        with pytest.raises(UsageError, match=r"expected (a readable YAML file|at most 1 MiB)"):
            read_data_file(Whole, path)
