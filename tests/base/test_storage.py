"""Storage: whole files or none, names that stay inside, errors that name the file."""

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from uuid import uuid4

import pytest

from base.errors import Failure, UsageError
from base.storage import Missing, Storage, Unavailable, error_path, temporary_files, write_atomically
from tests.shards.far import served

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["local", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return Storage(tmp_path / "root" if request.param == "local" else f"memory://{uuid4().hex}")


def test_what_is_written_is_read(storage: Storage) -> None:
    storage.write("a/b.bin", b"one")
    storage.write("a/b.bin", b"two")
    assert storage.read("a/b.bin") == b"two"
    assert storage.size("a/b.bin") == 3
    with storage.open("a/b.bin") as stream:
        assert stream.seek(1) == 1
        assert stream.read() == b"wo"


ODD = ["x[1]", "x*", "x?", "x #1", "x%20y", "{a}", "~x", " x "]
ODD_ROOTS = [("local", "a::b"), *((kind, odd) for odd in ODD for kind in ("local", "memory"))]


@pytest.mark.parametrize(
    ("kind", "odd"), [("local", "a::b"), *((kind, odd) for odd in ODD for kind in ("local", "memory"))]
)
def test_a_root_of_any_characters_is_meant_as_it_is_written(kind: str, odd: str, tmp_path: Path) -> None:
    """Nothing reads it as a pattern: what is removed below `x[1]` stays below `x1`."""
    above = str(tmp_path) if kind == "local" else f"memory://{uuid4().hex}"
    root, neighbour = Storage(f"{above}/{odd}"), Storage(f"{above}/x1")
    for storage in (root, neighbour):
        for name in ("s/1", "s/deep/2", "t/3"):
            storage.write(name, b"data")
    assert root.names("s") == ["s/1", "s/deep/2"]
    root.remove("s")
    root.remove("t/3")
    assert (root.names("s"), root.names("t")) == ([], [])
    assert neighbour.names("s") == ["s/1", "s/deep/2"]
    assert neighbour.read("t/3") == b"data"
    if kind == "local":
        assert (tmp_path / odd).is_dir()


def test_names_lists_files_sorted_and_relative(storage: Storage) -> None:
    for name in ("s/2", "s/1", "s/deep/3", "other/4"):
        storage.write(name, b"")
    assert storage.names("s") == ["s/1", "s/2", "s/deep/3"]
    assert storage.names("nothing") == []


def test_create_lets_one_caller_win(storage: Storage) -> None:
    assert storage.create("lease", b"first")
    assert not storage.create("lease", b"second")
    assert storage.read("lease") == b"first"


def test_remove_takes_folders_and_what_is_not_there(storage: Storage) -> None:
    storage.write("a/b", b"")
    storage.remove("a")
    storage.remove("a")
    assert not storage.exists("a/b")


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../x", "a/../../x", "a\\b", "a\0b"])
def test_a_name_that_leaves_the_root_is_refused(storage: Storage, name: str) -> None:
    with pytest.raises(UsageError, match="inside"):
        storage.path(name)


def test_a_missing_file_is_a_failure_that_names_it(storage: Storage) -> None:
    with pytest.raises(Failure, match="nowhere"):
        storage.read("nowhere")


@pytest.mark.parametrize("away", [503, 429, "gone"])
@pytest.mark.parametrize("ask", [Storage.exists, Storage.names, Storage.size, Storage.sha256])
def test_unreachable_web_server_is_unavailable(
    tmp_path: Path, ask: Callable[[Storage, str], object], away: int | str
) -> None:
    (tmp_path / "versions").write_bytes(b"")
    with served(tmp_path) as far:
        far.away = away
        with pytest.raises(Unavailable, match=f"{far.address}/versions: "):
            ask(Storage(far.address), "versions")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(Unavailable, match=f"{nobody}/versions: Connect call failed"):
            ask(Storage(nobody), "versions")


@pytest.mark.parametrize("answer", [404, 403])
def test_a_web_server_that_refuses_a_file_has_it_not(tmp_path: Path, answer: int) -> None:
    with served(tmp_path) as far:
        far.away, storage = answer, Storage(far.address)
        assert not storage.exists("versions")
        assert storage.names("versions") == []
        with pytest.raises(Missing, match=f"could not measure {far.address}/versions"):
            storage.size("versions")


def test_failed_listing_of_a_web_folder_raises(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    with served(tmp_path) as far:
        far.lists, answer = True, far.answer

        def failing(request: BaseHTTPRequestHandler) -> None:
            far.away = 503 if request.path.rstrip("/").endswith("/b") else 0
            answer(request)

        far.answer = failing  # type: ignore[method-assign]
        with pytest.raises(Unavailable, match=r"could not list .*/a: 503"):
            Storage(far.address).names("a")


@pytest.mark.parametrize(("url", "package", "extra"), [("gs://b/x", "gcsfs", "gcs"), ("s3://b/x", "s3fs", "s3")])
def test_missing_package_names_its_extra(url: str, package: str, extra: str) -> None:
    program = f"import sys; sys.modules[{package!r}] = None; from base.storage import Storage; Storage({url!r})"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    told = f"storage.root: expected the package that {url[:2]}:// needs, got nothing: pip install"
    assert told in done.stderr, done.stderr
    assert f"'.[{extra}]'" in done.stderr


def test_a_full_disk_leaves_the_old_file_and_no_temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Storage(tmp_path)
    storage.write("version", b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Failure, match=r"version: the disk is full"):
        storage.write("version", b"new")
    assert storage.read("version") == b"old"
    with pytest.raises(OSError, match="No space") as caught:
        write_atomically(tmp_path / "sheet.png", b"")
    assert error_path(caught.value) == str(tmp_path / "sheet.png")
    assert list(temporary_files(tmp_path)) == []


def test_failed_copy_names_its_target() -> None:
    assert error_path(OSError(errno.ENOSPC, "full", "from", None, "to")) == "to"
    assert error_path(OSError(errno.ENOSPC, "full", "to")) == "to"
    assert error_path(OSError(errno.ENOSPC, "full")) == ""


def test_put_file_places_a_finished_file(storage: Storage, tmp_path: Path) -> None:
    source = tmp_path / "finished"
    source.write_bytes(b"tar")
    storage.put_file("shards/x.tar", source)
    assert storage.read("shards/x.tar") == b"tar"


def test_lengths_come_with_the_names(storage: Storage) -> None:
    storage.write("a/b", b"12345")
    storage.write("a/c/d", b"")
    assert storage.sizes("a") == {"a/b": 5, "a/c/d": 0}
    assert storage.sizes("nowhere") == {}


def test_temporary_files_are_not_listed(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    storage.write("a/b", b"")
    (tmp_path / "a" / ".tmp-b-123").write_bytes(b"half")
    assert storage.names("a") == ["a/b"]
    assert [path.name for path in temporary_files(tmp_path)] == [".tmp-b-123"]
