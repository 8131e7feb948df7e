"""Objaverse as a source: its indexes from a hub that misbehaves, and the digests that Objaverse-XL knows."""

import gzip
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from base.digest import sha256_bytes
from base.errors import Failure, UsageError
from base.outcomes import Outcome
from base.progress import SILENT, Progress
from pipeline.builder import build
from pipeline.catalog.columns import Columns
from pipeline.catalog.locations import without_mirror
from pipeline.catalog.objects import SourceObject
from pipeline.catalog.rows import Attempt
from pipeline.catalog.tables import Catalog
from pipeline.fetch.limiter import Buckets
from pipeline.settings import ObjaverseSettings
from pipeline.sources.hub import address_on
from pipeline.sources.objaverse import objaverse_objects
from pipeline.work.render_stage import RenderStage
from pipeline.work.worker import ItemJob, Worker, WorkerSpec
from tests.pipeline.builds import EXAMPLES, Told, storage, tiny
from tests.pipeline.fetch.test_fetch import SETTINGS
from tests.pipeline.hub import Hub, hub


@pytest.fixture
def server() -> Iterator[Hub]:
    with hub() as state:
        yield state


ROOT, XL = (
    "/datasets/allenai/objaverse/resolve/v1",
    "/datasets/allenai/objaverse-xl/resolve/v1/sketchfab/sketchfab.parquet",
)
UIDS = [f"{index:032x}" for index in range(6)]


def objaverse_hub(server: Hub) -> None:
    paths = {uid: f"glbs/000-00{index % 2}/{uid}.glb" for index, uid in enumerate(UIDS)}
    notes = [
        {
            uid: {
                "name": f"thing {uid[-1]}",
                "license": "by",
                "user": {"displayName": "Ann", "username": "ann"},
                "viewerUrl": f"https://example.org/{uid}",
                "categories": [{"name": "furniture"}],
            }
            for uid, path in paths.items()
            if f"000-00{part}" in path
        }
        for part in range(2)
    ]
    for name, value in {
        "object-paths.json.gz": paths,
        "lvis-annotations.json.gz": {"armchair": UIDS[1:2], "chair": UIDS[:2], "mug": [*UIDS[4:5], "gone"]},
        "metadata/000-000.json.gz": notes[0],
        "metadata/000-001.json.gz": notes[1],
    }.items():
        server.files[f"{ROOT}/{name}"] = gzip.compress(json.dumps(value).encode())


@pytest.fixture
def chosen(server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjaverseSettings:
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    monkeypatch.setenv("HF_TOKEN", "secret")
    objaverse_hub(server)
    return ObjaverseSettings(
        uids=(), uid_file="", lvis=(), unlisted="missing", sample=0, seed=0, revision="v1", xl_revision="v1",
        cache=str(tmp_path / "cache"), downloaded="",
    )  # fmt: skip


def objects(settings: ObjaverseSettings, source: Any = "objaverse", progress: Progress = SILENT) -> list[SourceObject]:
    return objaverse_objects(settings, SETTINGS, progress, source)


def changed(settings: ObjaverseSettings, **values: object) -> ObjaverseSettings:
    return settings.model_copy(update=values)


def test_objaverse_lists_what_is_asked_for(server: Hub, chosen: ObjaverseSettings, tmp_path: Path) -> None:
    everything = objects(chosen)
    assert [item.uid for item in everything] == UIDS
    first = everything[0]
    assert first.location == f"https://huggingface.co{ROOT}/glbs/000-000/{UIDS[0]}.glb"
    assert first.licence == "by"
    assert first.author == "Ann"
    assert first.title == "thing 0"
    assert first.category == "furniture"
    assert first.page == f"https://example.org/{UIDS[0]}"
    assert server.tokens[f"{ROOT}/object-paths.json.gz"] == "Bearer secret"
    (tmp_path / "uids.txt").write_text(f"{UIDS[3]}\n\n{UIDS[5]}\n")
    listed = changed(chosen, uids=(UIDS[1],), uid_file=str(tmp_path / "uids.txt"))
    assert [item.uid for item in objects(listed)] == [UIDS[1], UIDS[3], UIDS[5]]
    both = objects(changed(chosen, lvis=("chair", "armchair")))
    assert [(item.uid, item.category) for item in both] == [(UIDS[0], "chair"), (UIDS[1], "chair")]
    chairs = objects(changed(chosen, lvis=("chair",)))
    assert [(item.uid, item.category) for item in chairs] == [(UIDS[0], "chair"), (UIDS[1], "chair")]
    assert max(server.asked.values()) == 1, "an index is fetched once"


def test_a_sample_is_drawn_by_its_seed(chosen: ObjaverseSettings) -> None:
    draw = lambda seed: [item.uid for item in objects(changed(chosen, sample=3, seed=seed))]
    assert draw(0) == draw(0)
    assert len(set(draw(0))) == 3
    assert any(draw(0) != draw(seed) for seed in range(1, 5))


def test_unknown_names_are_usage_errors(chosen: ObjaverseSettings, tmp_path: Path) -> None:
    for values, problem in [
        ({"uids": ("nothing",)}, "expected uids of Objaverse, got 1 of 1 that are not in its index: nothing$"),
        ({"uids": ("b", "a", UIDS[0]), "unlisted": "refuse"}, "got 2 of 3 that are not in its index: a, b$"),
        ({"lvis": ("mug", "chairs", "mugs")}, "expected LVIS categories, got 2 of 3 that are none: chairs, mugs$"),
        ({"uid_file": str(tmp_path / "no")}, "uid_file"),
    ]:
        with pytest.raises(UsageError, match=problem):
            objects(changed(chosen, **values))


def test_cached_index_is_used_until_removed(server: Hub, chosen: ObjaverseSettings, tmp_path: Path) -> None:
    objects(chosen)
    moved = json.dumps({UIDS[0]: f"glbs/000-000/{UIDS[0]}.glb"}).encode()
    server.files[f"{ROOT}/object-paths.json.gz"] = gzip.compress(moved)
    assert len(objects(chosen)) == 6
    shutil.rmtree(tmp_path / "cache")
    assert len(objects(chosen)) == 1


@pytest.mark.parametrize(("source", "rendered"), [("objaverse", 2), ("objaverse-xl", 0)])
def test_new_revision_without_digests_renders_again(
    server: Hub, chosen: ObjaverseSettings, tmp_path: Path, in_this_process: None, source: str, rendered: int
) -> None:
    models = {
        uid: (EXAMPLES / name).read_bytes() for uid, name in zip(UIDS, ("stool.glb", "avocado.glb"), strict=False)
    }
    for number, (uid, data) in enumerate(models.items()):
        server.files[f"{ROOT}/glbs/000-00{number}/{uid}.glb"] = data
    server.files[XL] = sketchfab({uid: sha256_bytes(data) for uid, data in models.items()})
    server.files |= {name.replace("/v1/", "/v2/"): data for name, data in server.files.items()}
    for revision, expected in (("v1", 2), ("v2", rendered)):
        chosen = changed(chosen, uids=tuple(models), revision=revision)
        asked = {"source": source, "objaverse": chosen.model_dump(mode="json")}
        assert build(tiny(tmp_path / "dataset", tmp_path, objects=asked), SILENT).rendered == expected


def test_another_mirror_of_the_hub_renders_nothing_again(
    server: Hub, chosen: ObjaverseSettings, tmp_path: Path, in_this_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second mirror has another path before the repository, and a dataset keeps what it recorded."""
    server.files[f"{ROOT}/glbs/000-000/{UIDS[0]}.glb"] = (EXAMPLES / "stool.glb").read_bytes()
    asked = {"source": "objaverse", "objaverse": changed(chosen, uids=(UIDS[0],)).model_dump(mode="json")}
    settings = tiny(tmp_path / "dataset", tmp_path, objects=asked)
    old = f"{server.address}{ROOT}/glbs/000-000/{UIDS[0]}.glb"
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.sources.objaverse.PUBLIC_HUB", server.address)
        assert build(settings, SILENT).rendered == 1
    assert Catalog(storage(settings)).objects()[UIDS[0]].location == old
    monkeypatch.setenv("HF_ENDPOINT", f"{server.address}/mirror/hf")
    assert build(settings, SILENT).idle
    (tmp_path / "uids.txt").write_text(UIDS[2])
    server.files[f"/mirror/hf{ROOT}/glbs/000-000/{UIDS[2]}.glb"] = (EXAMPLES / "avocado.glb").read_bytes()
    asked["objaverse"]["uid_file"] = str(tmp_path / "uids.txt")
    settings = tiny(tmp_path / "dataset", tmp_path, objects=asked)
    assert build(settings, SILENT).rendered == 1
    assert server.tokens[f"/mirror/hf{ROOT}/glbs/000-000/{UIDS[2]}.glb"] == "Bearer secret"
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert build(settings, SILENT).idle
    rows = Catalog(storage(settings)).objects()
    assert [rows[uid].location for uid in UIDS[:3:2]] == [
        old,
        f"https://huggingface.co{ROOT}/glbs/000-000/{UIDS[2]}.glb",
    ]


def test_an_address_of_a_table_is_asked_as_it_is_written() -> None:
    """Only objects of Objaverse are asked for on another mirror."""
    sources = pyarrow.chunked_array([["objaverse-xl", "urls", "objaverse", "folder"]])
    names = [f"http://m.example/a/b{ROOT}/x.glb"] * 2 + ["https://huggingface.co/datasets/other/x", "/a/resolve/x"]
    found = without_mirror(pyarrow.chunked_array([names]), sources).to_pylist()
    assert found == [f"https://huggingface.co{ROOT}/x.glb", *names[1:]]
    assert address_on("http://m.example", found[0]) == f"http://m.example{ROOT}/x.glb"
    assert address_on("http://m.example", "https://huggingface.company/x") == "https://huggingface.company/x"


def test_what_the_index_does_not_know_is_left_out_and_told(chosen: ObjaverseSettings) -> None:
    found = objects(changed(chosen, lvis=("mug",)), progress=(told := Told()))
    assert [item.uid for item in found] == [UIDS[4]]
    assert told.lines == ["Objaverse: 1 of 2 objects are not in its index and are left out"]


@pytest.mark.parametrize("source", ["objaverse", "objaverse-xl"])
def test_unlisted_uids_are_missing(
    server: Hub, chosen: ObjaverseSettings, tmp_path: Path, in_this_process: None, source: str
) -> None:
    """All are counted and some named; filters do not look at them; a later index that has one renders it."""
    data = {
        uid: (EXAMPLES / name).read_bytes() for uid, name in zip(UIDS[::2], ("stool.glb", "avocado.glb"), strict=False)
    }
    for uid, model in data.items():
        server.files[f"{ROOT}/glbs/000-000/{uid}.glb"] = model
    server.files[XL] = sketchfab({uid: sha256_bytes(model) for uid, model in data.items()})
    paths = json.loads(gzip.decompress(server.files[f"{ROOT}/object-paths.json.gz"]))
    server.files[f"{ROOT}/object-paths.json.gz"] = gzip.compress(json.dumps({UIDS[0]: paths[UIDS[0]]}).encode())
    (tmp_path / "uids.txt").write_text("\n".join([UIDS[0], UIDS[2], "# a note", *(f"gone{n}" for n in range(4)), "é"]))
    asked = {
        "source": source,
        "objaverse": changed(chosen, uid_file=str(tmp_path / "uids.txt")).model_dump(mode="json"),
    }
    asked["filter"] = {"licences": ["by"], "unstated_licence": "never"}
    settings = tiny(tmp_path / "dataset", tmp_path, objects=asked)
    summary = build(settings, told := Told())
    assert summary.outcomes == {"missing": 7, "ok": 1}
    name = "Objaverse-XL's Sketchfab part" if source == "objaverse-xl" else "Objaverse"
    few = ", ".join(sorted(["# a note", UIDS[2], "gone0", "gone1", "gone2"])) + " and 2 more"
    assert f"{name}: 7 of 8 uids are not in its index and end as `missing`: {few}" in told.lines
    rows = Catalog(storage(settings)).objects()
    assert rows["gone3"].reason == f"gone3: expected in the index of {source}, got nothing"
    assert {row.title for row in rows.values() if row.outcome == "missing"} >= {"# a note", "é", "gone0"}
    assert build(settings, SILENT).idle
    server.files[f"{ROOT}/object-paths.json.gz"] = gzip.compress(json.dumps(paths).encode())
    shutil.rmtree(tmp_path / "cache")
    assert build(settings, SILENT).outcomes == {"missing": 6, "ok": 2}


def test_a_damaged_index_does_not_poison_the_cache(server: Hub, chosen: ObjaverseSettings) -> None:
    name = f"{ROOT}/object-paths.json.gz"
    whole = server.files[name]
    server.files[name] = whole[:50]
    with pytest.raises(Failure, match=r"object-paths\.json\.gz: expected gzipped JSON"):
        objects(chosen)
    server.files[name] = whole
    assert len(objects(chosen)) == 6


def test_a_missing_index_says_so(server: Hub, chosen: ObjaverseSettings) -> None:
    with pytest.raises(Failure, match="answered 404"):
        objects(changed(chosen, revision="v2"))


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}, {"a": None}])
def test_an_index_of_another_shape_is_a_failure(server: Hub, chosen: ObjaverseSettings, value: object) -> None:
    server.files[f"{ROOT}/object-paths.json.gz"] = gzip.compress(json.dumps(value).encode())
    with pytest.raises(Failure, match=r"object-paths\.json\.gz: expected gzipped JSON, got: "):
        objects(chosen)


def test_an_index_that_went_bad_in_the_cache_is_fetched_anew(chosen: ObjaverseSettings, tmp_path: Path) -> None:
    assert len(objects(chosen)) == 6
    for name in ("object-paths", "metadata/000-001"):
        path = tmp_path / "cache" / "v1" / f"{name}.json.gz"
        path.write_bytes(path.read_bytes()[:40])
        with pytest.raises(Failure, match="expected gzipped JSON"):
            objects(chosen)
        assert len(objects(chosen)) == 6


def test_annotations_of_any_shape_are_taken_for_what_they_say(server: Hub, chosen: ObjaverseSettings) -> None:
    odd = {UIDS[0]: {"tags": 3, "categories": {"name": "x"}, "user": "ann", "faceCount": "many"}, UIDS[2]: None}
    odd[UIDS[0]] |= {"name": "a \ud800 lone surrogate", "license": 3}
    odd[UIDS[0]] |= {"vertexCount": 2**63, "animationCount": -2, "likeCount": 2**63 - 1}
    server.files[f"{ROOT}/metadata/000-000.json.gz"] = gzip.compress(json.dumps(odd).encode())
    first = objects(changed(chosen, uids=tuple(UIDS[:4:2])))[0]
    assert first.tags == ""
    assert first.category == ""
    assert first.author == ""
    assert first.faces == -1
    assert first.vertices == -1
    assert first.animations == -1
    assert first.likes == 2**63 - 1
    assert (first.title, first.licence) == ("a \N{REPLACEMENT CHARACTER} lone surrogate", "3")


@pytest.mark.parametrize("source", ["objaverse", "objaverse-xl"])
def test_unusable_index_path_leaves_object_out(server: Hub, chosen: ObjaverseSettings, source: str) -> None:
    odd = ["glbs/000-000/\ud800.glb", "glbs/\ud800/x.glb", "../../x.glb", "", "glbs/000-000/a b.glb"]
    paths = dict(zip(UIDS, [*odd, f"glbs/000-001/{UIDS[5]}.glb"], strict=True)) | {"\udfff": "glbs/000-000/y.glb"}
    server.files[f"{ROOT}/object-paths.json.gz"] = gzip.compress(json.dumps(paths).encode())
    server.files[XL] = sketchfab({uid: f"{index:064x}" for index, uid in enumerate(UIDS)})
    (item,) = Columns.of(SourceObject, objects(chosen, source, told := Told())).records()
    assert item.uid == UIDS[5]
    assert told.lines == ["Objaverse: 6 of 7 objects have no usable uid and path and are left out"]
    with pytest.raises(UsageError, match=f"got 1 of 1 that are not in its index: {UIDS[0]}$"):
        objects(changed(chosen, uids=(UIDS[0],)), source)


@pytest.mark.parametrize("token", ["one two", "näh"])
def test_a_malformed_token_is_refused_and_not_repeated(
    chosen: ObjaverseSettings, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(UsageError, match="HF_TOKEN: expected a token") as caught:
        objects(chosen)
    assert token not in str(caught.value)
    monkeypatch.setenv("HF_TOKEN", "good\n")
    assert len(objects(chosen)) == 6


def test_password_in_hub_address_is_refused_unprinted(
    chosen: ObjaverseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://ann:hidden@mirror.example/hf")
    with pytest.raises(UsageError, match=r"^HF_ENDPOINT: expected .*, got one for https://mirror\.example/hf$"):
        objects(chosen)


def test_a_revision_may_have_slashes(server: Hub, chosen: ObjaverseSettings) -> None:
    server.files = {name.replace("/v1/", "/refs%2Fpr%2F1/"): data for name, data in server.files.items()}
    (item,) = objects(changed(chosen, revision="refs/pr/1", uids=(UIDS[0],)))
    assert item.location == f"https://huggingface.co{ROOT.replace('v1', 'refs%2Fpr%2F1')}/glbs/000-000/{UIDS[0]}.glb"


def sketchfab(digests: dict[str, str]) -> bytes:
    """Objaverse-XL's index, as it is: a row an object, and more columns than we ask for."""
    pages = [f"https://sketchfab.com/3d-models/{uid}" for uid in digests]
    columns = {"fileIdentifier": pages, "source": ["sketchfab"] * len(pages), "sha256": list(digests.values())}
    stream = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), stream, row_group_size=2)
    return stream.getvalue()


def test_objaverse_xl_states_digests(server: Hub, chosen: ObjaverseSettings) -> None:
    digests = {uid: f"{index:064x}" for index, uid in enumerate(UIDS[:4])} | {"e" * 32: "f" * 64, UIDS[5]: "no digest"}
    server.files[XL] = sketchfab(digests)
    found = objects(chosen, "objaverse-xl", told := Told())
    assert {item.uid: item.sha256 for item in found} == {uid: digests[uid] for uid in UIDS[:4]}
    assert {item.source for item in found} == {"objaverse-xl"}
    plain = {item.uid: item for item in objects(chosen)}
    assert all(item.location == plain[item.uid].location and item.licence == "by" for item in found)
    assert told.lines == [
        "Objaverse-XL's Sketchfab part: 2 of 6 objects are not in its index and are left out",
    ]
    assert server.asked[XL] == 1
    with pytest.raises(UsageError, match="expected uids of Objaverse-XL's Sketchfab part"):
        objects(changed(chosen, uids=(UIDS[4],)), "objaverse-xl")


@pytest.mark.parametrize("damaged", [b"PAR1", b"<html>", None])
def test_a_damaged_index_of_digests_is_named_and_not_kept(
    server: Hub, chosen: ObjaverseSettings, damaged: bytes | None
) -> None:
    stream = io.BytesIO()
    parquet.write_table(pyarrow.table({"fileIdentifier": ["a"]}), stream)
    server.files[XL] = stream.getvalue() if damaged is None else damaged
    with pytest.raises(Failure, match=r"sketchfab\.parquet: expected Parquet, got: "):
        objects(chosen, "objaverse-xl")
    server.files[XL] = sketchfab({UIDS[0]: "0" * 64})
    assert len(objects(chosen, "objaverse-xl")) == 1


def test_the_package_s_own_files_are_read_and_left_alone(
    server: Hub, chosen: ObjaverseSettings, tmp_path: Path
) -> None:
    home = tmp_path / ".objaverse"
    for name, data in server.files.items():
        path = home / "hf-objaverse-v1" / name.removeprefix(f"{ROOT}/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (home / "sketchfab").mkdir()
    (home / "sketchfab" / "sketchfab.parquet").write_bytes(sketchfab({UIDS[0]: "0" * 64}))
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
    main = {"revision": "main", "xl_revision": "main", "downloaded": str(home / "hf-objaverse-v1")}
    assert [item.uid for item in objects(changed(chosen, **main), "objaverse-xl")] == UIDS[:1]
    assert dict(server.asked) == {}
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before


def test_stated_digests_find_copies_and_modified_files(server: Hub, chosen: ObjaverseSettings, tmp_path: Path) -> None:
    server.files[XL] = sketchfab({UIDS[0]: "0" * 64, UIDS[1]: "1" * 64, UIDS[2]: "0" * 64})
    server.files[f"{ROOT}/glbs/000-001/{UIDS[1]}.glb"] = (EXAMPLES / "stool.glb").read_bytes()
    asked = {"source": "objaverse-xl", "objaverse": {**chosen.model_dump(mode="json"), "uids": UIDS[:3]}}
    settings = tiny(tmp_path / "dataset", tmp_path, objects=asked)
    plan = build(settings, SILENT, dry_run=True).plan
    assert plan.startswith("3 objects: render 2, reuse 0, 1 duplicates")
    item = objects(chosen, "objaverse-xl")[1]
    places = settings.objects.fetch, settings.objects.objaverse, server.address
    worker = Worker(
        WorkerSpec("run", settings.storage.root, RenderStage(settings.objects.source, settings.render, 0), *places),
        Buckets(1000, 1.0),
    )
    ended = worker.do(ItemJob(item))
    assert isinstance(ended, Attempt)
    assert (ended.outcome, ended.sha256) == (Outcome.MODIFIED, "1" * 64)
