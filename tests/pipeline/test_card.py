"""The card of a dataset: what hubs and people read, and text from outside stays text in it."""

import csv
import io

import yaml

from pipeline.card import attribution, card
from pipeline.rows import ObjectRow
from shards.version import SampleEntry, ShardEntry, Version

SHARD = ShardEntry("shards/train-000000-0123456789ab.tar", "train", 0, 2048, "0" * 64, (SampleEntry("a", 0, 1024),))
VERSION = Version(1, 3, 2, "abc", 12, (256, 256), (SHARD,))


def row(uid: str, **known: str) -> ObjectRow:
    return ObjectRow(uid=uid, source="folder", location=f"{uid}.glb", **{"outcome": "ok", "split": "train", **known})  # type: ignore[arg-type]


def test_hubs_find_the_shards_of_the_version() -> None:
    front = yaml.safe_load(card(VERSION, {"a": row("a")}, {}).split("---")[1])
    assert front["version"] == 3
    assert front["configs"][0]["data_files"] == [{"split": "train", "path": [SHARD.name]}]


def test_people_find_counts_licences_and_settings() -> None:
    rows = {"a": row("a", licence="CC0-1.0"), "b": row("b"), "c": row("c", outcome="crash")}
    text = card(VERSION, rows, {"render": {"samples": 16}, "objects": {"source": "folder", "folder": "secret"}})
    assert "| CC0\\-1\\.0 | 1 |" in text
    assert "| not stated | 1 |" in text
    assert "| crash | 1 |" in text
    assert "samples: 16" in text
    assert "secret" not in text
    packed = {"render": {"samples": 16, "views": 12}, "objects": {"source": "renders"}}
    assert "samples" not in card(VERSION, rows, packed)
    assert "views: 12" in card(VERSION, rows, packed)


def test_text_from_outside_stays_text() -> None:
    nasty = row("a", licence="<script>|x", title="=HYPERLINK(1)", author='quote" and, comma\x1b[2J')
    assert "<script>" not in card(VERSION, {"a": nasty}, {})
    (line,) = csv.DictReader(io.StringIO(attribution([nasty])))
    assert line["title"] == "'=HYPERLINK(1)"
    assert line["author"].startswith('quote" and, comma')
    assert "\x1b" not in line["author"]
