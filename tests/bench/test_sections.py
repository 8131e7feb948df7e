"""A page of several benchmarks: each writes its own section and leaves the others alone."""

from pathlib import Path

import pytest

from bench.sections import write_section


def test_a_section_takes_its_own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "scale.md"
    monkeypatch.setattr("sys.argv", ["/somewhere/bench/scale.py", "--json", "/home/me/a.json", "--set", "a=b c"])
    write_section(page, "One", ["| old |"])
    write_section(page, "Two", ["second"])
    write_section(page, "Three", ["third"])
    untouched = page.read_text().partition("## Two")[2]
    write_section(page, "One", ["| new |", "", "more"])
    text = page.read_text()
    assert text.startswith("# Scale\n\n## One\n\n`python -m bench.scale --set 'a=b c'`, on ")
    assert "old" not in text
    assert text.partition("## Two")[2] == untouched
    write_section(page, "Three", ["third"])
    assert page.read_text() == text
