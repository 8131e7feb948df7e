"""A page of several benchmarks: each writes its own section and leaves the others alone."""

from pathlib import Path

from bench.sections import write_section


def test_a_section_takes_its_own_place(tmp_path: Path) -> None:
    page = tmp_path / "scale.md"
    write_section(page, "One", "python -m one", ["| old |"])
    write_section(page, "Two", "python -m two", ["second"])
    write_section(page, "Three", "python -m three", ["third"])
    untouched = page.read_text().partition("## Two")[2]
    write_section(page, "One", "python -m one --more", ["| new |", "", "more"])
    text = page.read_text()
    assert text.startswith("# Scale\n\n## One\n\n`python -m one --more`, on ")
    assert "old" not in text
    assert text.partition("## Two")[2] == untouched
    write_section(page, "Three", "python -m three", ["third"])
    assert page.read_text() == text
