"""What was fetched once is not fetched again, and nothing damaged comes out of the cache."""

import gzip
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from base.digest import sha256_bytes
from base.progress import SILENT
from base.storage import temporary_files
from pipeline.builder import build
from pipeline.fetch.model_cache import ModelCache
from tests.pipeline.builds import EXAMPLES, tiny
from tests.pipeline.hub import Hub, hub

URL = "http://a.example/x.glb"


def kept(cache: ModelCache, url: str, data: bytes, folder: Path) -> str:
    source = folder / "source"
    source.write_bytes(data)
    cache.keep(url, source, sha256_bytes(data))
    return sha256_bytes(data)


def test_what_is_kept_comes_back_with_its_digest(tmp_path: Path) -> None:
    cache, target = ModelCache(tmp_path / "cache", 1000), tmp_path / "target"
    assert cache.take(URL, target) == ""
    sha256 = kept(cache, URL, b"model", tmp_path)
    (tmp_path / "source").write_bytes(b"changed later")
    assert cache.take(URL, target) == sha256
    assert target.read_bytes() == b"model"
    assert cache.take(f"{URL}?", tmp_path / "other") == ""
    assert cache.take(URL, tmp_path / "other", sha256_bytes(b"another")) == ""
    assert not (tmp_path / "other").exists()


def test_damaged_bytes_are_thrown_away(tmp_path: Path) -> None:
    cache, target = ModelCache(tmp_path / "cache", 1000), tmp_path / "target"
    kept(cache, URL, b"model", tmp_path)
    (path,) = (tmp_path / "cache").glob("*-*")
    path.write_bytes(b"m0del")
    assert cache.take(URL, target) == ""
    assert not path.exists()
    assert not target.exists()


def test_the_budget_holds_and_the_least_used_goes(tmp_path: Path) -> None:
    cache, target = ModelCache(tmp_path / "cache", 10), tmp_path / "target"
    for number, name in enumerate("abc"):
        kept(cache, name, name.encode() * 4, tmp_path)
        for path in (tmp_path / "cache").glob("*-*"):
            os.utime(path, (number, number) if path.read_bytes()[:1] == name.encode() else None)
        if number == 1:
            assert cache.take("a", target), "a is used again, so b goes when c comes"
    assert [bool(cache.take(name, target)) for name in "abc"] == [True, False, True]
    kept(cache, "large", bytes(11), tmp_path)
    assert cache.take("large", target) == ""
    assert list(temporary_files(tmp_path / "cache")) == []


@pytest.fixture
def server() -> Iterator[Hub]:
    with hub() as state:
        yield state


ROOT = "/datasets/allenai/objaverse/resolve/main"
UID = "0" * 32
PATH = f"glbs/000-000/{UID}.glb"
INDEXES: dict[str, Any] = {"object-paths.json.gz": {UID: PATH}, "metadata/000-000.json.gz": {UID: {"license": "by"}}}


@pytest.mark.usefixtures("without_ray")
def test_other_settings_render_anew_without_fetching_anew(server: Hub, tmp_path: Path) -> None:
    server.files["/stool.glb"] = (EXAMPLES / "stool.glb").read_bytes()
    (tmp_path / "table.csv").write_text(f"url\n{server.address}/stool.glb\n")
    fetching = {"cache": str(tmp_path / "cache"), "cache_mb": 100}
    objects = {"source": "urls", "urls": str(tmp_path / "table.csv"), "fetch": fetching}
    for samples in (1, 2):
        settings = tiny(tmp_path / "dataset", tmp_path, objects=objects, render={"samples": samples})
        assert build(settings, SILENT).rendered == 1
    assert server.asked == {"/stool.glb": 1}


@pytest.mark.usefixtures("without_ray")
def test_package_downloads_are_read_only(server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    downloaded = tmp_path / "downloaded"
    for name, value in INDEXES.items():
        path = downloaded / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(json.dumps(value).encode()))
    (downloaded / PATH).parent.mkdir(parents=True)
    shutil.copy(EXAMPLES / "stool.glb", downloaded / PATH)
    before = {path: path.stat().st_mtime_ns for path in downloaded.rglob("*")}
    objects = {"source": "objaverse", "objaverse": {"cache": str(tmp_path / "cache"), "downloaded": str(downloaded)}}
    assert build(tiny(tmp_path / "dataset", tmp_path, objects=objects), SILENT).outcomes == {"ok": 1}
    assert dict(server.asked) == {}
    (downloaded / PATH).write_bytes(b"cut short")
    server.files[f"{ROOT}/{PATH}"] = (EXAMPLES / "stool.glb").read_bytes()
    assert build(tiny(tmp_path / "second", tmp_path, objects=objects), SILENT).outcomes == {"ok": 1}
    assert dict(server.asked) == {f"{ROOT}/{PATH}": 1}
    assert {path: path.stat().st_mtime_ns for path in before if path != downloaded / PATH} == {
        path: time for path, time in before.items() if path != downloaded / PATH
    }
