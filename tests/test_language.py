"""The prose of the project keeps below its ceilings, and the counter counts what it says."""

from pathlib import Path

import pytest

from tests.language import CEILINGS, KINDS, ROOT, Passage, count, count_lines, passages, tracked_files, worst


@pytest.fixture(scope="module")
def prose() -> list[Passage]:
    return [passage for path in tracked_files([ROOT]) for passage in passages(path)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("group", CEILINGS)
def test_prose_keeps_below_its_ceilings(kind: str, group: str, prose: list[Passage]) -> None:
    of_kind = [passage for passage in prose if passage.kind == kind]
    counted = count(of_kind)
    assert counted.words > 1000, f"expected prose of the kind {kind}, found almost none"
    assert counted.rate(group) <= CEILINGS[group], "\n".join(worst(of_kind, 20))


def test_words_are_counted_by_kind(tmp_path: Path) -> None:
    source = tmp_path / "module.py"
    source.write_text('"""The one that lies."""\n\nWORDS = "which of these none chose"  # whoever reads this\n')
    found = {passage.kind: passage for passage in passages(source)}
    assert count([found["docstrings"]]).found == {
        "that/which/who": 1, "one/ones": 1, "none/nobody/whoever": 0, "stand/lie": 1,
    }  # fmt: skip
    messages = count([passage for passage in passages(source) if passage.kind == "messages"])
    assert messages.found["that/which/who"] == 1
    assert messages.found["none/nobody/whoever"] == 2
    page = tmp_path / "page.md"
    page.write_text("Plain words.\n\n```\nthat that that\n```\n\n`which` is code.\n")
    assert count(list(passages(page))).found["that/which/who"] == 0


def test_lines_of_code_and_comments_are_counted(tmp_path: Path) -> None:
    source = tmp_path / "module.py"
    source.write_text(
        '"""A docstring\nof two lines."""\n\n# A reason\n# in two lines.\nx = [\n    1,\n]\ny = 2  # noqa\n'
    )
    assert count_lines(source) == (4, 2)
