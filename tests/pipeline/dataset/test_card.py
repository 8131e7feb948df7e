"""The card of a dataset: what hubs and people read, and text from outside stays text in it."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import pyarrow
import pytest
import yaml

from base.storage import Storage
from pipeline.catalog.rows import ObjectRow
from pipeline.catalog.tables import Catalog, VersionFacts
from pipeline.dataset.card import COLUMNS, attribution_csv, card_picture, card_text, version_rows
from shards.sample import members_from_views
from shards.version import SampleEntry, ShardEntry, Version
from shards.write import write_shard
from tests.pipeline.builds import changes
from tests.shards.datasets import HW, VIEWS, make_views

SHARD = ShardEntry("shards/train-000000-0123456789ab.tar", "train", 0, 2048, "0" * 64, (SampleEntry("a", 0, 1024),))
VERSION = Version(1, 3, 2, "abc", 12, (256, 256), (SHARD,))


def test_hubs_find_the_shards_of_the_version() -> None:
    front = yaml.safe_load(card_text(VERSION, {"ok": 1}, {}, {}).split("---")[1])
    assert front["version"] == 3
    assert front["configs"][0]["data_files"] == [{"split": "train", "path": [SHARD.name]}]


def test_people_find_counts_licences_and_settings() -> None:
    text = card_text(VERSION, {"ok": 2, "crash": 1}, {"CC0-1.0": 1, "": 1}, {"render": {"samples": 16}})
    assert "| CC0\\-1\\.0 | 1 |" in text
    assert "| not stated | 1 |" in text
    assert "| crash | 1 |" in text
    assert "samples: 16" in text


@pytest.mark.parametrize("count", [1, 7, 8, 9, 50])
def test_rows_are_sorted_by_uid_in_any_chunk_size(count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.dataset.card.SORTED_AT_ONCE", 4)
    monkeypatch.setattr("pipeline.dataset.card.SAMPLED", 2)
    placed = {"split": "train", "shard": 0, "shard_name": SHARD.name, "outcome": "ok", "sample_bytes": 1}
    uids = [f"uid-{number * 37 % count}" for number in range(count)]
    about = {"source": "urls", "location": "x"}
    rows = [ObjectRow(uid=uid, **about, **placed, sample_offset=place) for place, uid in enumerate(uids)]  # type: ignore[arg-type]
    catalog = Catalog(Storage(tmp_path))
    catalog.commit(changes(*rows), VersionFacts("abc", 12, (256, 256)))
    version = catalog.newest()
    lines = csv.DictReader(io.StringIO("".join(attribution_csv(version_rows(catalog, version)))))
    assert [line["uid"] for line in lines] == sorted(uids)


def test_text_from_outside_stays_text() -> None:
    nasty = {"uid": "a", "title": "=HYPERLINK(1)", "author": 'quote" and, comma\x1b[2J', "licence": "<script>|x"}
    assert "<script>" not in card_text(VERSION, {"ok": 1}, {nasty["licence"]: 1}, {})
    table = pyarrow.table({name: [nasty.get(name, "")] for name in COLUMNS})
    (line,) = csv.DictReader(io.StringIO("".join(attribution_csv([table]))))
    assert line["title"] == "'=HYPERLINK(1)"
    assert line["author"].startswith('quote" and, comma')
    assert "\x1b" not in line["author"]


def test_a_damaged_object_is_not_pictured_and_hinders_no_card(tmp_path: Path) -> None:
    storage, members = Storage(tmp_path), {}
    for uid in ("dog", "fox"):
        members[uid] = members_from_views(make_views(tmp_path / uid, uid), {"uid": uid})
    shard = write_shard(storage, "train", 0, sorted(members.items()))
    version = replace(VERSION, views=VIEWS, hw=HW, shards=(shard,))
    whole = card_picture(storage, version)
    data = bytearray(storage.read(shard.name))
    data[shard.samples[0].offset : shard.samples[0].offset + 600] = bytes(600)
    storage.write(shard.name, bytes(data))
    one = card_picture(storage, version)
    storage.write(shard.name, bytes(len(data)))
    none = card_picture(storage, version)
    assert len({whole, one, none}) == 3
