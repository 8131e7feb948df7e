"""Folders, patterns and CSV files as lists of pictures."""

from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from base.errors import UsageError
from photo.batch import pictures_of_batch
from tests.photo.pictures import saved, smooth

PIXELS = smooth((16, 16))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.png", "a.JPG", "deep/c.webp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        saved(tmp_path / name, PIXELS)
    for name in ("notes.txt", ".hidden.png"):
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def test_a_single_picture_is_no_batch(folder: Path) -> None:
    odd = folder / "what[1]?.png"
    (folder / "b.png").rename(odd)
    for source in (str(odd), "-", "https://example.org/a*.png", "nowhere.png"):
        assert pictures_of_batch([source]) is None


def test_a_folder_gives_its_pictures_in_order(folder: Path) -> None:
    found = pictures_of_batch([str(folder)]) or []
    assert [(Path(one.source).name, one.name) for one in found] == [("a.JPG", "a"), ("b.png", "b")]


def test_a_pattern_may_look_into_folders_below(folder: Path) -> None:
    found = pictures_of_batch([str(folder / "**" / "*.[wp][en][bg]*"), str(folder / "b.png")]) or []
    assert [one.name for one in found] == ["b", "c"]


def test_equal_names_are_told_apart_the_same_way_each_time(folder: Path) -> None:
    saved(folder / "deep" / "A.png", PIXELS)
    words = [str(folder), str(folder / "deep")]
    names = [one.name for one in pictures_of_batch(words) or []]
    assert names == [one.name for one in pictures_of_batch(words) or []]
    assert len({name.casefold() for name in names}) == 4
    assert [name for name in names if "-" not in name] == ["b", "c"]


def test_a_picture_may_be_listed_twice_with_other_masks(folder: Path) -> None:
    table = folder / "photos.csv"
    table.write_text("image,mask,elevation_deg\nb.png,m.png,\nb.png,n.png,\nb.png,n.png,30\nb.png,n.png,30\n")
    names = [one.name for one in pictures_of_batch([str(table)]) or []]
    assert len(names) == len(set(names)) == 3


def test_a_csv_names_masks_and_elevations(folder: Path) -> None:
    table = folder / "photos.csv"
    table.write_text("\ufeffimage,name,mask,elevation_deg\nb.png,../../chair,m.png, 20\ndeep/c.webp,,,\n", "utf-8")
    first, second = pictures_of_batch([str(table)]) or []
    assert (first.source, first.name) == (str(folder / "b.png"), "chair")
    assert (first.mask, first.elevation_deg) == (folder / "m.png", 20.0)
    assert second.name == "c"
    assert second.mask is None
    assert second.elevation_deg is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("path\na.png\n", "expected a column `image`"),
        ("image,colour\na.png,red\n", "expected a column `image`"),
        ("image\n", "got a table without rows"),
        ("image,name\na.png\n", ":2: expected as many values"),
        ("image\na.png,b\n", ":2: expected as many values"),
        ("image,name\n,b\n", ":2: expected a path in the column `image`"),
        ("image,elevation_deg\na.png,up\n", ":2: elevation_deg: expected degrees from -90 to 90, got 'up'"),
    ],
)
def test_a_wrong_csv_is_told_with_its_line(text: str, told: str, tmp_path: Path) -> None:
    table = tmp_path / "photos.csv"
    table.write_text(text)
    with pytest.raises(UsageError) as caught:
        pictures_of_batch([str(table)])
    assert told in str(caught.value)


def test_sources_without_pictures_are_told(tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes(b"image\n\xff.png\n")
    for source, told in (
        (str(tmp_path), "expected a folder with pictures"),
        (str(tmp_path / "*.png"), "got a pattern that no file matches"),
        (str(tmp_path / "none.csv"), "expected a readable CSV file"),
        (str(tmp_path / "latin.csv"), "expected a CSV file in UTF-8"),
    ):
        with pytest.raises(UsageError, match="expected") as caught:
            pictures_of_batch([source])
        assert told in str(caught.value)
    with pytest.raises(UsageError, match="got `-` beside others"):
        pictures_of_batch(["-", "a.png"])


def parquet_file(path: Path, columns: dict[str, Any]) -> Path:
    parquet.write_table(pyarrow.table(columns), path)
    return path


def test_a_parquet_file_is_read_as_a_csv_is(folder: Path) -> None:
    names = ["a.png", "b.jpg"]
    path = parquet_file(folder / "list.parquet", {"image": names, "elevation_deg": ["10", ""]})
    (folder / "list.csv").write_text("image,elevation_deg\na.png,10\nb.jpg,\n")
    assert pictures_of_batch([str(path)]) == pictures_of_batch([str(folder / "list.csv")])


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        # Some kilobytes on disk, a hundred megabytes as texts.
        ({"image": ["x" * 10_000] * 10_000}, "image: expected at most 4096 letters, got a longer text"),
        ({"image": pyarrow.array(["x" * 10_000] * 9, pyarrow.large_string())}, "at most 4096 letters"),
        ({"image": pyarrow.array([b"x" * 10_000] * 9)}, "at most 4096 letters"),
        ({"image": ["x"] * 1_000_001}, "expected at most 1,000,000 rows of .*, got 1,000,001 rows of 1 columns"),
        ({name: ["x"] for name in ("image", "name", "mask", "elevation_deg", "more")}, "1 rows of 5 columns"),
        ({"picture": ["x"]}, "expected a column `image`"),
    ],
)
def test_a_wrong_parquet_file_is_told(columns: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=told):
        pictures_of_batch([str(parquet_file(tmp_path / "list.parquet", columns))])


def test_a_file_that_is_no_parquet_is_told(tmp_path: Path) -> None:
    (tmp_path / "list.parquet").write_bytes(b"PAR1 and nothing more")
    with pytest.raises(UsageError, match=r"list\.parquet: expected a Parquet file, got: "):
        pictures_of_batch([str(tmp_path / "list.parquet")])
