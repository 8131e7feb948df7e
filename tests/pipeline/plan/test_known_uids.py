"""Objects keep the uid that a dataset knows them by; new objects have longer ones, and no two share one."""

from dataclasses import replace
from pathlib import Path

import pytest

from base.errors import UsageError
from base.progress import SILENT
from base.storage import Storage
from pipeline.builder import build
from pipeline.catalog.columns import Columns
from pipeline.catalog.objects import SourceObject, short_uid, uid_of
from pipeline.catalog.rows import ObjectRow
from pipeline.catalog.tables import Catalog, VersionFacts
from pipeline.plan.known_uids import check_unique, keep_known_uids
from shards.version import UID
from tests.pipeline.builds import changes, models, storage, tiny
from tests.pipeline.releases import HW, VIEWS, released


def catalogue(root: Path, *rows: ObjectRow) -> Catalog:
    catalog = Catalog(Storage(root))
    catalog.commit(changes(*rows), VersionFacts("0", 2, (32, 32)))
    return catalog


def row(uid: str, location: str, source: str = "folder") -> ObjectRow:
    return ObjectRow(uid=uid, source=source, location=location)


def item(name: str, location: str, source: str = "folder") -> SourceObject:
    return SourceObject(uid=uid_of(Path(name).stem, name), source=source, location=location)


TWINS = "027496/scene.gltf", "066312/scene.gltf"
"""Two paths whose digests begin with the same 8 digits."""


def test_long_uids_tell_twins_apart_and_stay_within_their_length() -> None:
    first, second = (uid_of("scene", name) for name in TWINS)
    assert first != second
    assert short_uid(first) == short_uid(second) == "scene_0e436803"
    assert UID.fullmatch(uid_of("a" * 100, "x" * 1000))


@pytest.mark.parametrize("known", [0, 1])
@pytest.mark.parametrize("moved", [False, True])
def test_of_twins_the_object_of_the_row_keeps_the_short_uid(known: int, moved: bool, tmp_path: Path) -> None:
    catalog = catalogue(tmp_path, row("scene_0e436803", f"/old/place/{TWINS[known]}"))
    folder = "/new" if moved else "/old/place"
    asked = Columns.of(SourceObject, [item(name, f"{folder}/{name}") for name in TWINS])
    uids = {one.location: one.uid for one in keep_known_uids(asked, catalog).records()}
    assert uids == {
        f"{folder}/{TWINS[known]}": "scene_0e436803",
        f"{folder}/{TWINS[1 - known]}": uid_of("scene", TWINS[1 - known]),
    }


def test_an_object_that_replaced_its_twin_is_another(tmp_path: Path) -> None:
    catalog = catalogue(tmp_path, row("scene_0e436803", f"/old/{TWINS[0]}"))
    asked = Columns.of(SourceObject, [item(TWINS[1], f"/old/{TWINS[1]}")])
    assert list(keep_known_uids(asked, catalog)) == [uid_of("scene", TWINS[1])]


def test_what_the_catalogue_does_not_know_stays_as_it_is(tmp_path: Path) -> None:
    long = item("b/a.glb", "/b/a.glb")
    catalog = catalogue(
        tmp_path, row(long.uid, long.location), row("0123456789abcdef0123456789abcdef", "https://h/x", "objaverse")
    )
    asked = Columns.of(SourceObject, [long, item("c.glb", "/c.glb")])
    assert keep_known_uids(asked, catalog) is asked
    assert keep_known_uids(asked, Catalog(Storage(tmp_path / "none"))) is asked


def test_a_whole_name_is_no_short_uid(tmp_path: Path) -> None:
    """A folder of views may be called as another's short uid would be."""
    derived = uid_of("red chair", "red chair")
    catalog = catalogue(tmp_path, row(short_uid(derived), f"/views/{short_uid(derived)}", "renders"))
    asked = [
        SourceObject(uid=derived, source="renders", location="/views/red chair"),
        SourceObject(uid=short_uid(derived), source="renders", location=f"/views/{short_uid(derived)}"),
    ]
    columns = Columns.of(SourceObject, asked)
    assert list(keep_known_uids(columns, catalog)) == list(columns)


def test_two_objects_of_one_uid_are_refused_by_name(tmp_path: Path) -> None:
    same = [item("a.glb", "/x/a.glb"), item("b.glb", "/x/b.glb"), replace(item("a.glb", "/y/a.glb"), title="other")]
    with pytest.raises(UsageError, match=rf"got {same[0].uid} for /x/a\.glb and /y/a\.glb; rename either of them$"):
        check_unique(Columns.of(SourceObject, same))
    check_unique(Columns.of(SourceObject, same[:2]))
    for name in ("red chair", uid_of("red chair", "red chair")):
        released(tmp_path, name)
    asked = {"source": "renders", "renders": str(tmp_path)}
    settings = tiny(tmp_path / "dataset", tmp_path, objects=asked, render={"hw": list(HW), "views": VIEWS})
    with pytest.raises(UsageError, match=r"objects\.renders: expected a uid of its own for every object"):
        build(settings, SILENT)


@pytest.mark.parametrize("source", ["folder", "renders"])
def test_old_dataset_is_extended_without_rendering(
    source: str, tmp_path: Path, in_this_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = models(tmp_path / "models", "stool")
    released(tmp_path / "views", "red chair")
    asked = {"source": source, "renders": str(tmp_path / "views")}
    hw = list(HW) if source == "renders" else [32, 32]

    def settings() -> object:
        return tiny(tmp_path / "dataset", folder, objects=asked, render={"hw": hw, "views": VIEWS})

    with monkeypatch.context() as patch:
        shortened = lambda name, identity: short_uid(uid_of(name, identity))
        patch.setattr(f"pipeline.sources.{source}.uid_of", shortened)
        assert build(settings(), SILENT).rendered == 1
    assert build(settings(), SILENT).idle
    models(folder, "avocado")
    released(tmp_path / "views", "blue chair")
    assert build(settings(), SILENT).rendered == 1
    lengths = sorted(len(uid.rpartition("_")[2]) for uid in Catalog(storage(settings())).objects())
    assert lengths == [8, 16]
