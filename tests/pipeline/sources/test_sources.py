"""Objects from tables of addresses, and the rules that leave objects out."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from base.digest import sha256_bytes, sha256_file
from base.errors import Failure, UsageError
from base.progress import SILENT
from pipeline.builder import BuildSettings, build
from pipeline.catalog.columns import Columns, table_of
from pipeline.catalog.objects import SourceObject
from pipeline.catalog.rows import ObjectRow
from pipeline.catalog.tables import Catalog
from pipeline.cluster import ray_for
from pipeline.plan.filters import find_refusals, refusal
from pipeline.settings import FilterSettings
from pipeline.sources.renders import rendered_objects
from pipeline.sources.urls import url_objects
from pipeline.update import BuildSummary
from shards.version import read_version
from tests.pipeline.builds import EXAMPLES, Told, files, models, storage, tiny
from tests.pipeline.hub import Hub, hub

ANY: dict[str, Any] = {
    "licences": (),
    "unstated_licence": "any",
    "categories": (),
    "text": (),
    "faces": (0, 0),
    "vertices": (0, 0),
    "animated": "any",
    "likes": 0,
}
CHAIR = SourceObject(
    uid="chair", source="urls", location="http://a/chair.glb", licence="CC0-1.0", title="A Red Chair",
    category="chair", tags="wood seat",
    faces=900, vertices=500, animations=0, likes=3,
)  # fmt: skip
UNTOLD = SourceObject(uid="untold", source="urls", location="http://a/untold.glb")


@pytest.mark.parametrize(
    ("rule", "value", "chair", "untold"),
    [
        ("licences", ("cc0-1.0", "by"), "", ""),
        ("licences", ("by",), "filter.licences: expected any of by, got CC0-1.0", ""),
        ("unstated_licence", "never", "", ""),
        ("categories", ("Chair",), "", "filter.categories: expected any of Chair, got nothing"),
        ("text", ("WOOD",), "", "filter.text: expected any of WOOD in title or tags, got neither"),
        ("text", ("red", "blue"), "", "filter.text: expected any of red, blue in title or tags, got neither"),
        ("faces", (1000, 0), "filter.faces: expected 1000 or more, got 900", "filter.faces: expected 1000 or more"),
        ("faces", (0, 900), "", "filter.faces: expected 0 to 900, got no count"),
        ("vertices", (0, 499), "filter.vertices: expected 0 to 499, got 500", "filter.vertices: expected 0 to 499"),
        ("animated", "never", "", "filter.animated: expected an object that is not animated, got no animations"),
        ("animated", "only", "filter.animated: expected an animated object, got 0", "filter.animated"),
        ("likes", 3, "", "filter.likes: expected 3 or more, got no count"),
        ("likes", 4, "filter.likes: expected 4 or more, got 3", "filter.likes: expected 4 or more, got no count"),
    ],
)  # fmt: skip
def test_each_rule_names_itself(rule: str, value: object, chair: str, untold: str) -> None:
    settings = FilterSettings(**{**ANY, rule: value})
    for item, expected in ((CHAIR, chair), (UNTOLD, untold)):
        said = refusal(item, settings)
        assert said.startswith(expected), said
        assert bool(said) == bool(expected)
    many = Columns.of(SourceObject, [replace(one, uid=f"{one.uid}{n}") for one in (CHAIR, UNTOLD) for n in range(3)])
    alone = {place: refusal(item, settings) for place, item in enumerate(many.records())}
    assert find_refusals(many, settings) == {place: said for place, said in alone.items() if said}


@pytest.mark.parametrize(
    ("unstated", "taken"), [("any", {"urls", "folder"}), ("own", {"folder"}), ("never", set[str]())]
)
def test_unstated_licence_setting(unstated: str, taken: set[str]) -> None:
    settings = FilterSettings(**{**ANY, "licences": ("by",), "unstated_licence": unstated})
    said = {source: refusal(replace(UNTOLD, source=source), settings) for source in ("urls", "folder")}
    assert {source for source, sentence in said.items() if not sentence} == taken
    assert {sentence for sentence in said.values() if sentence} <= {"filter.licences: expected any of by, got nothing"}


def written(path: Path, rows: list[dict[str, str]]) -> Path:
    columns = sorted({key for row in rows for key in row})
    if path.suffix == ".parquet":
        parquet.write_table(pyarrow.table({name: [row.get(name) for row in rows] for name in columns}), path)
        return path
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_of_addresses_says_what_it_knows(suffix: str, tmp_path: Path) -> None:
    rows = [
        {"url": "https://a.example/models/red_chair.glb?v=1", "licence": "by", "faces": "12", "sha256": "AB" * 32},
        {"url": "https://a.example/b%20c.obj", "title": "Named", "likes": " ", "faces": "7.0"},
    ]
    first, second = url_objects(written(tmp_path / f"table{suffix}", rows))
    assert first.title == "red chair"
    assert first.licence == "by"
    assert first.faces == 12
    assert first.sha256 == "ab" * 32
    assert first.uid.startswith("red_chair_")
    assert second.title == "Named"
    assert second.likes == -1
    assert second.faces == 7
    assert second.uid[:4] == "b_c_"


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (
            {"url": "ftp://a.example/x.glb?sig=hidden"},
            "row 1: expected addresses of http or https, got 'ftp://a.example/x.glb'",
        ),
        ({"url": "http://[::1/x.glb"}, r"expected addresses of http or https, got 'http://\[::1/x\.glb'"),
        ({"url": "https://a.example/x.glb", "sha256": "12"}, "expected a sha256 of 64 hexadecimal digits, got '12'"),
        ({"address": "https://a.example/x.glb"}, "expected a column `url`"),
        (
            {"url": "https://ann:hidden@a.example/x.glb"},
            "row 1: expected an address without a user's name or password, got one for https://a.example/x.glb",
        ),
    ],
)
def test_a_table_with_a_mistake_is_a_usage_error(row: dict[str, str], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=sentence) as caught:
        list(url_objects(written(tmp_path / "table.csv", [row])))
    assert "hidden" not in str(caught.value)
    (tmp_path / "bad.parquet").write_bytes(b"not one")
    with pytest.raises(UsageError, match="expected a Parquet file"):
        list(url_objects(tmp_path / "bad.parquet"))
    with pytest.raises(UsageError, match="expected every address once"):
        list(url_objects(written(tmp_path / "twice.csv", [{"url": "https://a.example/x.glb"}] * 2)))
    signed = [{"url": f"https://a.example/x.glb?sig=hidden{n}"} for n in range(2)]
    with pytest.raises(UsageError, match=r"expected every address once, got https://a\.example/x\.glb 2 times$"):
        list(url_objects(written(tmp_path / "signed.csv", signed)))


@pytest.mark.parametrize("text", ["many", "-1", "1.5", "1e3", "٣", str(2**63), "9" * 5000])
def test_a_count_out_of_range_names_its_row_and_column(text: str, tmp_path: Path) -> None:
    folder = models(tmp_path / "models", "stool", "avocado")
    rows = [{"path": "stool.glb", "likes": str(2**63 - 1)}, {"path": "avocado.glb", "likes": text}]
    sentence = rf"row 2: expected a whole number below 2\*\*63, or nothing, in the column `likes`, got '{text[:80]}'$"
    table = written(folder / "OBJECTS.csv", rows)
    with pytest.raises(UsageError, match=f"^{table}: {sentence}"):
        build(tiny(tmp_path / "dataset", folder), SILENT)
    (tmp_path / "views" / "stool.glb").mkdir(parents=True)
    table = written(tmp_path / "views" / "OBJECTS.csv", rows)
    with pytest.raises(UsageError, match=f"^{table}: {sentence}"):
        rendered_objects(tmp_path / "views", SILENT)
    addresses = [{"url": f"https://a.example/{row['path']}", "likes": row["likes"]} for row in rows]
    table = written(tmp_path / "table.parquet", addresses)
    with pytest.raises(UsageError, match=f"^{table}: {sentence}"):
        list(url_objects(table))


def test_the_greatest_count_is_kept(tmp_path: Path) -> None:
    table = written(tmp_path / "table.csv", [{"url": "https://a.example/x.glb", "likes": f"00{2**63 - 1}"}])
    (item,) = url_objects(table)
    assert item.likes == 2**63 - 1
    row = ObjectRow(uid=item.uid, source="urls", location=item.location, likes=item.likes)
    assert table_of(ObjectRow, [row])["likes"].to_pylist() == [2**63 - 1]


def rows_of(settings: BuildSettings) -> dict[str, ObjectRow]:
    return {row.title: row for row in Catalog(storage(settings)).objects().values()}


def test_addresses_are_fetched_checked_and_filtered(tmp_path: Path) -> None:
    with hub() as server, ray_for(tiny(tmp_path, tmp_path).run):
        for name in ("stool", "avocado"):
            server.files[f"/{name}.glb"] = (EXAMPLES / f"{name}.glb").read_bytes()
        server.files["/notes.txt"] = b"no model"
        table = written(
            tmp_path / "table.csv",
            [
                {
                    "url": f"{server.address}/stool.glb",
                    "licence": "CC0-1.0",
                    "sha256": sha256_file(EXAMPLES / "stool.glb"),
                },
                {"url": f"{server.address}/avocado.glb", "licence": "CC0-1.0", "sha256": "0" * 64},
                {"url": f"{server.address}/dog.glb", "licence": "by-nc"},
                {"url": f"{server.address}/notes.txt"},
            ],
        )
        settings = tiny(tmp_path / "dataset", tmp_path, objects={"source": "urls", "urls": str(table)})
        summary = build(settings, SILENT)
        assert summary.outcomes == {"ok": 1, "modified": 1, "filtered": 1, "unsupported": 1}
        assert rows_of(settings)["dog"].reason.endswith("got by-nc")
        assert set(server.asked) == {"/stool.glb", "/avocado.glb"}, "what is left out is not fetched"


def test_signatures_are_not_part_of_an_object(tmp_path: Path, in_this_process: None) -> None:
    fetching = {"cache": str(tmp_path / "cache"), "cache_mb": 100}
    told = Told()

    def built(server: Hub, number: int) -> BuildSummary:
        asked = [f"{name}.glb?v=2&X-Amz-Date={number}&X-Amz-Signature=s3cr3t{number}" for name in ("stool", "gone")]
        server.files[f"/{asked[0]}"] = (EXAMPLES / "stool.glb").read_bytes()
        table = written(tmp_path / "table.csv", [{"url": f"{server.address}/{path}"} for path in asked])
        objects = {"source": "urls", "urls": str(table), "fetch": fetching}
        return build(tiny(tmp_path / "dataset", tmp_path, objects=objects, run={"seed": number // 2}), told)

    with hub() as server:
        assert built(server, 0).outcomes == {"ok": 1, "missing": 1}
        assert built(server, 1).idle
        assert built(server, 2).outcomes == {"ok": 1, "missing": 1}
        assert sum(count for path, count in server.asked.items() if path.startswith("/stool")) == 1
    rows = rows_of(tiny(tmp_path / "dataset", tmp_path))
    assert {name: row.location for name, row in rows.items()} == {
        name: f"{server.address}/{name}.glb?v=2" for name in ("stool", "gone")
    }
    assert rows["gone"].reason.startswith(f"{server.address}/gone.glb?v=2: the server answered 404")
    assert not [name for name, data in files(tmp_path / "dataset").items() if b"s3cr3t" in data]
    assert "s3cr3t" not in "\n".join(told.lines)


def test_changed_bytes_behind_an_address(tmp_path: Path, in_this_process: None) -> None:
    first, second = ((EXAMPLES / f"{name}.glb").read_bytes() for name in ("stool", "avocado"))
    objects = {"source": "urls", "urls": str(tmp_path / "table.csv"), "fetch": {"cache": str(tmp_path), "cache_mb": 99}}

    def built(server: Hub, samples: int = 1, **known: str) -> BuildSummary:
        written(tmp_path / "table.csv", [{"url": f"{server.address}/a.glb", **known}])
        return build(tiny(tmp_path / "dataset", tmp_path, objects=objects, render={"samples": samples}), SILENT)

    with hub() as server:
        server.files["/a.glb"] = first
        built(server)
        server.files["/a.glb"] = second
        assert built(server).idle
        assert built(server, samples=2).rendered == 1
        assert server.asked["/a.glb"] == 1, "the cache has the old bytes"
        assert built(server, samples=2, sha256=sha256_bytes(first)).idle
        assert built(server, samples=2, sha256=sha256_bytes(second)).rendered == 1
        with pytest.raises(Failure, match="modified"):
            built(server, samples=2, sha256="0" * 64)


@pytest.mark.usefixtures("without_ray")
def test_a_rule_takes_objects_out_and_gives_them_back(tmp_path: Path) -> None:
    folder = models(tmp_path / "models", "stool", "avocado")
    (folder / "OBJECTS.csv").write_text("path,likes\nstool.glb,5\navocado.glb,1\n")

    def settings(likes: int) -> BuildSettings:
        return tiny(tmp_path / "dataset", folder, objects={"filter": {"likes": likes}})

    first = build(settings(0), SILENT)
    popular = build(settings(2), SILENT)
    assert (popular.rendered, popular.outcomes) == (0, {"ok": 1, "filtered": 1})
    assert rows_of(settings(2))["avocado"].shard_name == ""
    assert build(settings(2), SILENT).idle
    back = build(settings(0), SILENT)
    assert (back.rendered, back.outcomes) == (0, {"ok": 2})
    assert back.shards_written == first.shards_written
    assert read_version(storage(settings(0))).samples("train") == 2
    with pytest.raises(Failure, match=r"filtered: filter\.likes"):
        build(tiny(tmp_path / "none", folder, objects={"filter": {"likes": 99}}), SILENT)


def test_a_most_below_the_least_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"objects\.filter\.faces: expected a minimum and then a maximum, got \(?\[?450"
    ):
        tiny(tmp_path, tmp_path, objects={"filter": {"faces": [450, 100]}})
