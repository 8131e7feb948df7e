"""Column names of the tables beside objects: no spelling of the licence's column lets an object in without it."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from base.errors import UsageError
from base.progress import SILENT
from pipeline.catalog.columns import Columns
from pipeline.catalog.objects import SourceObject
from pipeline.plan.filters import find_refusals
from pipeline.settings import FilterSettings
from pipeline.sources.folder import folder_objects
from pipeline.sources.renders import rendered_objects
from pipeline.sources.urls import url_objects
from tests.pipeline.builds import Told
from tests.pipeline.releases import released

FREE = FilterSettings(
    licences=("cc0", "by"), unstated_licence="any", categories=(), text=(), faces=(0, 0), vertices=(0, 0),
    animated="any", likes=0,
)  # fmt: skip
NC = "CC-BY-NC-ND-4.0"
List = Callable[[Path, list[str], list[str]], list[SourceObject]]


def from_folder(root: Path, header: list[str], row: list[str]) -> list[SourceObject]:
    (root / "a.glb").write_bytes(b"glTF")
    write_csv(root / "OBJECTS.csv", ["path", *header], ["a.glb", *row])
    return folder_objects(root, SILENT)


def from_renders(root: Path, header: list[str], row: list[str]) -> list[SourceObject]:
    if not (root / "a").exists():
        released(root, "a")
    write_csv(root / "OBJECTS.csv", ["path", *header], ["a", *row])
    return rendered_objects(root, SILENT)


def from_attribution(root: Path, header: list[str], row: list[str]) -> list[SourceObject]:
    if not (root / "a").exists():
        released(root, "a")
    write_csv(root / "ATTRIBUTION.csv", ["uid", *header], ["a", *row])
    return rendered_objects(root, SILENT)


def from_csv_of_addresses(root: Path, header: list[str], row: list[str]) -> list[SourceObject]:
    return list(url_objects(write_csv(root / "urls.csv", ["url", *header], ["https://a.example/a.glb", *row])))


def from_parquet_of_addresses(root: Path, header: list[str], row: list[str]) -> list[SourceObject]:
    values = [pyarrow.array([value]) for value in ("https://a.example/a.glb", *row)]
    parquet.write_table(pyarrow.Table.from_arrays(values, names=["url", *header]), root / "urls.parquet")
    return list(url_objects(root / "urls.parquet"))


def write_csv(path: Path, *rows: list[str]) -> Path:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    path.write_text(text.getvalue(), encoding="utf-8")
    return path


SOURCES = [from_folder, from_renders, from_attribution, from_csv_of_addresses, from_parquet_of_addresses]


@pytest.mark.parametrize("listed", SOURCES)
@pytest.mark.parametrize(
    "name",
    [
        *(
            "Licence",
            "LICENSE",
            " licence",
            "license ",
            "License type",
            "license_name",
            "\u00a0licence",
            "licence\u00a0",
        ),
        *("\ufefflicence", "li\u200bcence", "Licenses", "SPDX", "license-url", "ＬＩＣＥＮＣＥ", "\tLicence\n"),
    ],
)
def test_a_licence_counts_in_any_spelling_of_its_column(listed: List, name: str, tmp_path: Path) -> None:
    (item,) = listed(tmp_path, [name], [NC])
    assert item.licence == NC
    assert find_refusals(Columns.of(SourceObject, [item]), FREE), "left out"


@pytest.mark.parametrize("listed", SOURCES)
@pytest.mark.parametrize(
    "name",
    [
        *("Lizenz", "licens", "lisence", "licnece", "licencia", "licença", "licenza", "license_terms", "my licence"),
        *("LicenseText", "l1cence", "li\u0441ence", "Rights", "copyright", "许可", "лицензия", "licence (SPDX id)"),
    ],
)
def test_possible_licence_columns_are_refused(listed: List, name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected the licence in a column named `licence`, got one named"):
        listed(tmp_path, [name], [NC])


@pytest.mark.parametrize("listed", SOURCES)
@pytest.mark.parametrize("names", [("licence", "licence"), ("Licence", "license"), ("license", "license url")])
def test_columns_of_the_same_fact_must_agree(listed: List, names: tuple[str, str], tmp_path: Path) -> None:
    (item,) = listed(tmp_path, list(names), ["", NC])
    assert item.licence == NC
    (item,) = listed(tmp_path, list(names), ["by", "https://creativecommons.org/licenses/by/4.0/"])
    assert item.licence == "by"
    with pytest.raises(UsageError, match=f"row 1: expected a single licence, got 'CC0-1.0' and '{NC}'$"):
        listed(tmp_path, list(names), ["CC0-1.0", NC])
    with pytest.raises(UsageError, match=r"expected one column `author`, got 'author' and ' Author'$"):
        listed(tmp_path, ["author", " Author"], ["Ann", "Ben"])


@pytest.mark.parametrize("name", ["copyright", "rights"])
def test_other_words_are_no_matter_beside_a_licence(name: str, tmp_path: Path) -> None:
    (item,) = from_folder(tmp_path, ["licence", name, "checked", "tag", "page_url"], [NC, "Ann", "yes", "x", "y"])
    assert (item.licence, item.page) == (NC, "")


def test_a_shifted_row_is_refused(tmp_path: Path) -> None:
    """An unquoted comma before the licence moves another column's text under `licence`."""
    with pytest.raises(UsageError, match=r"OBJECTS\.csv: row 1: expected 3 values, as there are columns, got 4$"):
        from_folder(tmp_path, ["note", "licence"], ["like CC0", "by", NC])
    (item,) = from_folder(tmp_path, ["note", "licence"], ["like CC0", NC, "", " "])
    assert item.licence == NC


@pytest.mark.parametrize("name", ["./a.glb", "A.GLB", " a.glb", "sub\\..\\a.glb", "{folder}/a.glb"])
def test_a_row_means_its_model_in_any_spelling_of_the_path(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.glb").write_bytes(b"glTF")
    write_csv(tmp_path / "objects.CSV", ["Path", "Licence"], [name.format(folder=tmp_path), NC])
    (item,) = folder_objects(tmp_path, SILENT)
    assert item.licence == NC


def test_rows_of_no_object_are_counted_and_some_named(tmp_path: Path) -> None:
    (tmp_path / "a.glb").write_bytes(b"glTF")
    others = [[f"gone{number}.glb", NC] for number in range(7)]
    table = write_csv(tmp_path / "OBJECTS.csv", ["path", "licence"], ["a.glb", NC], *others)
    folder_objects(tmp_path, told := Told())
    named = "gone0.glb, gone1.glb, gone2.glb, gone3.glb, gone4.glb and 2 more"
    assert told.lines == [f"{table}: 7 rows are of no object that is there: {named}"]


def test_ambiguous_rows_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.glb").write_bytes(b"glTF")
    write_csv(tmp_path / "OBJECTS.csv", ["path", "licence"], ["models/a.glb", NC])
    with pytest.raises(UsageError, match=r"expected the `path` of objects in .*, got nothing: models/a\.glb$"):
        folder_objects(tmp_path, SILENT)
    (tmp_path / "B.glb").write_bytes(b"glTF")
    (tmp_path / "b.glb").write_bytes(b"glTF")
    write_csv(tmp_path / "OBJECTS.csv", ["path", "licence"], ["B.GLB", NC])
    with pytest.raises(UsageError, match=r"expected the `path` of an object, got 'B\.GLB' for B\.glb and b\.glb$"):
        folder_objects(tmp_path, SILENT)
    write_csv(tmp_path / "OBJECTS.csv", ["path", "licence"], ["a.glb", NC], ["./a.glb", "CC0"])
    with pytest.raises(UsageError, match=r"expected every `path` once, got 'a\.glb' twice$"):
        folder_objects(tmp_path, SILENT)
    write_csv(tmp_path / "objects.csv", ["path", "licence"], ["a.glb", "CC0"])
    with pytest.raises(UsageError, match=r"expected one OBJECTS\.csv, got OBJECTS\.csv and objects\.csv$"):
        folder_objects(tmp_path, SILENT)
