"""Roots of any characters: tables are found where they are written, or the root is refused before any work."""

from pathlib import Path
from typing import Any

import pytest

from base.errors import UsageError
from base.progress import SILENT
from base.storage import Storage
from pipeline.builder import build
from pipeline.catalog.rows import Attempt, ObjectRow
from pipeline.catalog.table_addresses import table_address
from pipeline.catalog.tables import Catalog, VersionFacts
from tests.pipeline.builds import changes, models, tiny

GOOD = [
    "x y",
    "x%y",
    "x*",
    "a::b",
    "é",
    "x&y=1",
    "x+y",
    "x;y",
    "x'q\"",
    "{a}",
    "~x",
    "x:y",
    "x@y",
    " x ",
    "x<y>",
    "x$HOME",
]
BAD = [("x #1", "#"), ("x?y", "?"), ("x%20y", "%20"), ("x[1]", "["), ("a\\b", "\\"), ("a|b", "|"), ("a^b", "^")]
BAD += [("a\nb", "\n"), ("a\tb", "\t"), ("x%2Fy", "%2F"), ("sub#/x", "#")]


@pytest.mark.parametrize("name", GOOD)
def test_tables_are_found_below_a_folder_of_odd_characters(name: str, tmp_path: Path) -> None:
    catalog = Catalog(Storage(tmp_path / name))
    catalog.record([Attempt(attempt="1", run="r", uid="a", outcome="ok")])
    catalog.commit(changes(ObjectRow(uid="a", source="folder", location="/a")), VersionFacts("0", 2, (32, 32)))
    assert catalog.newest().number == 1
    assert [row.uid for row in catalog.objects().values()] == ["a"]
    assert {path.name for path in (tmp_path / name / "catalog").iterdir()} == {"attempts", "objects"}
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(("name", "found"), BAD)
def test_misread_root_is_refused(name: str, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> None:
        pytest.fail("objects were listed")

    monkeypatch.setattr("pipeline.builder.list_requested_objects", never)
    settings = tiny(tmp_path / name, models(tmp_path / "models", "stool"))
    for dry_run in (True, False):
        with pytest.raises(UsageError) as caught:
            build(settings, SILENT, dry_run=dry_run)
        assert str(caught.value).startswith(f"storage.root: expected a folder without {found!r} in its path, got ")
    assert [path.name for path in tmp_path.iterdir()] == ["models"]


def test_the_address_in_a_store_is_quoted_and_a_colon_refused() -> None:
    assert table_address(Storage("memory://a/x y|1"), "catalog/objects") == "memory://a/x%20y%7C1/catalog/objects"
    with pytest.raises(
        UsageError, match=r"storage\.root: expected a prefix without ':' in its path, got 'memory://a/x:y'"
    ):
        Catalog(Storage("memory://a/x:y"))
