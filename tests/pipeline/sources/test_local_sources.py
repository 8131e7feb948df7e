"""Objects from folders of models and of views, in which something is no model, named twice, or not to be read."""

import errno
import io
import os
from pathlib import Path

import pytest

from base.digest import sha256_file
from base.errors import UsageError
from base.progress import SILENT, PlainProgress
from pipeline.builder import BuildSettings, build
from pipeline.catalog.tables import Catalog
from pipeline.sources.folder import folder_objects
from pipeline.sources.renders import rendered_objects
from tests.pipeline.builds import Told, models, storage, tiny
from tests.pipeline.releases import HW, VIEWS, released


def reasons(settings: BuildSettings) -> dict[str, str]:
    return {row.title: row.reason for row in Catalog(storage(settings)).objects().values()}


def test_what_cannot_be_a_model_is_left_out_and_told(tmp_path: Path) -> None:
    """A link to nothing, a pipe that nobody writes to, and a name of no text: each alone would end a listing."""
    (tmp_path / "good.obj").write_bytes(b"v 0 0 0")
    (tmp_path / "gone.glb").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.stl")
    (tmp_path / os.fsdecode(b"caf\xe9.ply")).write_bytes(b"ply")
    said = io.StringIO()
    assert [item.title for item in folder_objects(tmp_path, PlainProgress(said))] == ["good"]
    for told in (
        r"'caf\udce9.ply' is left out: expected a name in UTF-8",
        "'gone.glb' is left out: expected a file",
        "'pipe.stl' is left out: expected a file",
    ):
        assert told in said.getvalue()


def test_linked_folders_are_followed_once_each(tmp_path: Path) -> None:
    """A folder's own name comes before links to it; loops and second names are told."""
    root = tmp_path / "objects"
    for folder in (root / "real", tmp_path / "store" / "deep"):
        folder.mkdir(parents=True)
        (folder / "m.obj").write_bytes(str(folder).encode())
    for link, target in {
        "a": "../store", "b": "../store/deep", "c": "real", "loop": ".", "up": "..", "../store/back": "../objects",
        "../store/deep/more": "../../extra", "gone": "nowhere", ".hidden": "../store",
    }.items():  # fmt: skip
        (root / link).symlink_to(target)
    (tmp_path / "extra").mkdir()
    (tmp_path / "extra" / "x.obj").write_bytes(b"v 0 0 0")
    items = folder_objects(root, told := Told())
    assert sorted(Path(item.location).relative_to(root).as_posix() for item in items) == [
        "a/deep/m.obj", "a/deep/more/x.obj", "real/m.obj",
    ]  # fmt: skip
    for name, problem in {
        "b": "it leads to 'a/deep', which is listed already",
        "c": "it leads to 'real', which is listed already",
        "loop": "it leads to this folder itself, which is listed already",
        "a/back": "it leads to this folder itself, which is listed already",
        "up": "it leads to a parent of this folder",
    }.items():
        assert f"{root}: '{name}' is left out: {problem}" in told.lines
    assert len(told.lines) == 6, "the last line counts other files"


def test_links_to_each_other_end(tmp_path: Path) -> None:
    for name in "abcdefgh":
        (tmp_path / name).mkdir()
        (tmp_path / name / "m.obj").write_bytes(name.encode())
        for other in "abcdefgh":
            (tmp_path / name / f"to_{other}").symlink_to(f"../{other}")
    assert len(folder_objects(tmp_path, SILENT)) == 8


def test_folders_outside_utf8_are_left_out(tmp_path: Path) -> None:
    released(tmp_path, "good")
    (tmp_path / os.fsdecode(b"caf\xe9")).mkdir()
    (item,) = rendered_objects(tmp_path, told := Told())
    assert item.uid == "good"
    assert told.lines == [f"{tmp_path}: 'caf\\udce9' is left out: expected a name in UTF-8"]
    (tmp_path / "valid_paths.json").write_text(r'["good", "caf\udce9"]')
    with pytest.raises(UsageError, match="expected a JSON list of the names of folders beside it"):
        rendered_objects(tmp_path, SILENT)


UNREADABLE = Path("/proc/self/mem")
"""A file that everyone may open and nobody can read from its beginning."""


def test_unreadable_model_fails_alone_and_is_retried(tmp_path: Path, in_this_process: None) -> None:
    folder = models(tmp_path / "models", "stool")
    (folder / "bad.glb").symlink_to(UNREADABLE)
    settings = tiny(tmp_path / "dataset", folder)
    assert build(settings, SILENT).outcomes == {"ok": 1, "lost": 1}
    assert reasons(settings)["bad"] == "bad.glb: expected to be readable, got: Input/output error"
    (folder / "bad.glb").unlink()
    models(folder, "avocado")
    (folder / "avocado.glb").rename(folder / "bad.glb")
    assert build(settings, SILENT).outcomes == {"ok": 2}


def test_views_that_cannot_be_read_end_alone(tmp_path: Path, in_this_process: None) -> None:
    for name in ("good", "bad"):
        released(tmp_path / "release", name)
    (tmp_path / "release" / "bad" / "003.png").unlink()
    (tmp_path / "release" / "bad" / "003.png").symlink_to(UNREADABLE)
    asked = {"objects": {"source": "renders", "renders": str(tmp_path / "release")}}
    settings = tiny(tmp_path / "dataset", tmp_path, **asked, render={"hw": list(HW), "views": VIEWS})
    assert build(settings, SILENT).outcomes == {"ok": 1, "lost": 1}


@pytest.mark.parametrize("source", ["folder", "renders"])
def test_what_one_may_not_read_is_forbidden_until_one_may(
    source: str, tmp_path: Path, in_this_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To root no file is forbidden, so the system's answer is put in its place."""
    models(tmp_path / "models", "stool", "avocado")
    for name in ("stool", "avocado"):
        released(tmp_path / "release", name)
    asked = {"source": source, "renders": str(tmp_path / "release")}
    hw = list(HW) if source == "renders" else [32, 32]
    settings = tiny(tmp_path / "dataset", tmp_path / "models", objects=asked, render={"hw": hw, "views": VIEWS})

    def guarded(path: Path) -> str:
        if "stool" in str(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return sha256_file(path)

    with monkeypatch.context() as patch:
        patch.setattr(f"pipeline.sources.{source}.sha256_file", guarded)
        assert build(settings, SILENT).outcomes == {"ok": 1, "forbidden": 1}
        assert reasons(settings)["stool"].endswith("expected to be readable, got: Permission denied")
        assert build(settings, SILENT).idle
    assert build(settings, SILENT).outcomes == {"ok": 2}


@pytest.mark.parametrize(("name", "key"), [("OBJECTS.csv", "path"), ("ATTRIBUTION.csv", "uid")])
def test_a_table_that_names_an_object_twice_is_a_usage_error(name: str, key: str, tmp_path: Path) -> None:
    released(tmp_path, "thing")
    (tmp_path / "thing.obj").write_bytes(b"v 0 0 0")
    (tmp_path / name).write_text(f"{key},licence\nthing,CC0-1.0\nother,MIT\nthing,MIT\n")
    sources = [folder_objects, rendered_objects] if key == "path" else [rendered_objects]
    for source in sources:
        with pytest.raises(UsageError, match=rf"{name}: expected every `{key}` once, got 'thing' twice$"):
            source(tmp_path, SILENT)
