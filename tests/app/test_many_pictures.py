"""`zero123 sample --on ray`: only what is new or changed runs, poison is named and set aside, and views are a dataset.

A stub in the model's place, and a crew of one in this process; `test_with_a_model` has both for real.
"""

import csv
import io
import re
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

import inference.picture_stages
from app.main import main
from base.digest import sha256_bytes
from base.progress import PlainProgress
from base.storage import Storage
from pipeline.catalog.tables import Catalog
from shards.reader import read_sample
from shards.verify import verify
from shards.version import read_version
from tests.inference.stub_program import install
from tests.pipeline.builds import Alone, files

pytestmark = pytest.mark.usefixtures("kept_signals")

WORDS = ("--on", "ray", "--orbit", "2")
LIMITS = ("--set", "views.child.phase_timeout_s=3", "--set", "views.child.memory_mb=400")


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.run.Crew", Alone)
    monkeypatch.setattr(inference.picture_stages, "PictureChild", inference.picture_stages.PictureChild)
    install()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, name in enumerate(("ant", "bee", "cow")):
        draw(folder / f"{name}.png", number)
    return folder


def draw(path: Path, number: int) -> None:
    pixels = np.zeros((32, 32, 4), np.uint8)
    pixels[8:24, 8:20] = (200, 10 * number, 60, 255)
    Image.fromarray(pixels).save(path)


def outcomes(root: Path) -> dict[str, str]:
    """The outcome of each picture that is asked for, by its name."""
    rows = Catalog(Storage(str(root))).objects()
    return {rows[uid].title: rows[uid].outcome for uid in rows if rows[uid].outcome != "removed"}


def tried(root: Path) -> list[str]:
    """The name of each attempt's picture, in order."""
    return [re.sub(r"_\w{16}$", "", attempt.uid) for attempt in Catalog(Storage(str(root))).attempts()]


@pytest.mark.usefixtures("stub")
def test_only_new_and_changed_pictures_run(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["sample", str(photos), *WORDS, "--out", str(out)]
    assert main(words) == 0
    assert outcomes(out) == dict.fromkeys(("ant", "bee", "cow"), "ok")
    first = files(out, "shards", "versions")
    assert main(words) == 0
    assert files(out, "shards", "versions") == first
    assert sorted(tried(out)) == ["ant", "bee", "cow"]

    draw(photos / "bee.png", 7)
    draw(photos / "dog.png", 8)
    assert main(words) == 0
    assert sorted(tried(out)[3:]) == ["bee", "dog"]
    version = read_version(Storage(str(out)))
    assert version.number == 2
    assert sum(len(shard.samples) for shard in version.shards) == 4

    # Another seed is another request, and the first one's views are still in their version.
    assert main([*words, "--seed", "1"]) == 0
    assert len(tried(out)) == 9
    assert main(words) == 0
    assert len(tried(out)) == 9


@pytest.mark.usefixtures("stub")
def test_views_are_a_sound_dataset_with_the_picture_beside_them(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["sample", f"{photos}/*.png", *WORDS, "--out", str(out)]) == 0
    storage = Storage(str(out))
    version = read_version(storage)
    verify(storage, version, PlainProgress(io.StringIO()))
    shard = version.shards[0]
    sample = read_sample(storage, shard, shard.samples[0])
    given = sample.input()
    assert given is not None
    assert given.shape == sample.image(0).shape == (16, 16, 4)
    assert sample.pairs.source.tolist() == [0, 1]
    page = (out / "report.html").read_text()
    assert "3 of 3 pictures ended well" in page
    assert "zero123 sample" in page
    assert "input.webp" in (out / "README.md").read_text()
    export = ["export", "--out", str(tmp_path / "plain"), "--layout", "zero123", "--set", f"storage.root={out}"]
    assert main(export) == 0
    assert len(list((tmp_path / "plain").rglob("*.png"))) == 6


@pytest.mark.usefixtures("stub")
def test_poison_is_tried_twice_named_and_set_aside(photos: Path, tmp_path: Path) -> None:
    kinds = {"segfault": "crash", "hang": "timeout", "memory": "out_of_memory"}
    for number, kind in enumerate(kinds):
        draw(photos / f"{kind}-1.png", 10 + number)
    out = tmp_path / "out"
    words = ["sample", str(photos), *WORDS, *LIMITS, "--out", str(out)]
    assert main(words) == 0
    found = outcomes(out)
    assert {name: found[f"{name}-1"] for name in kinds} == kinds
    assert [found[name] for name in ("ant", "bee", "cow")] == ["ok"] * 3
    once = tried(out)
    assert {name: once.count(name) for name in set(once)} == {
        "ant": 1, "bee": 1, "cow": 1, "segfault_1": 2, "hang_1": 2, "memory_1": 2
    }  # fmt: skip
    assert main(words) == 0
    assert tried(out) == once


@pytest.mark.usefixtures("stub")
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_list_gives_masks_and_elevations(kind: str, photos: Path, tmp_path: Path) -> None:
    path, out = tmp_path / f"list.{kind}", tmp_path / "out"
    rows = [["photos/ant.png", "photos/bee.png", "10"], ["photos/cow.png", "", ""]]

    def write() -> None:
        if kind == "csv":
            with path.open("w", newline="") as stream:
                csv.writer(stream).writerows([["image", "mask", "elevation_deg"], *rows])
        else:
            columns = dict(zip(("image", "mask", "elevation_deg"), zip(*rows, strict=True), strict=True))
            parquet.write_table(pyarrow.table({name: list(values) for name, values in columns.items()}), path)

    write()
    words = ["sample", str(path), *WORDS, "--out", str(out)]
    assert main(words) == 0
    assert outcomes(out) == {"ant": "ok", "cow": "ok"}
    draw(photos / "bee.png", 9)
    assert main(words) == 0
    assert tried(out) == ["ant", "cow", "ant"] or tried(out) == ["cow", "ant", "ant"]
    rows[1][2] = "20"
    write()
    assert main(words) == 0
    assert tried(out)[3:] == ["cow"]


@pytest.mark.usefixtures("stub")
def test_mistakes_are_a_sentence(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    for words, sentence in (
        (["--film", "mp4"], "--film: expected no film, because --on ray"),
        (["--picture", "png"], "--picture: expected nothing, because --on ray"),
    ):
        assert main(["sample", str(photos), *WORDS, *words, "--out", str(out)]) == 2
        assert sentence in capsys.readouterr().err
    assert main(["reconstruct", str(photos), "--elevation-deg", "0", "--out", str(out)]) == 2
    assert "expected a single picture, got several: --on ray takes many" in capsys.readouterr().err
    assert main(["sample", str(photos), *WORDS, "--out", str(out)]) == 0
    models = Path(__file__).parents[2] / "examples" / "objects"
    build = ["build", "--set", f"storage.root={out}", "--set", f"objects.folder={models}"]
    capsys.readouterr()
    assert main(build) == 2
    assert "expected a dataset of zero123 build, got one of zero123 sample" in capsys.readouterr().err


@pytest.mark.usefixtures("stub")
def test_meshes_are_files_under_their_digest(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    turn = ["--set", "reconstruct.turntable.frames=2", "--set", "reconstruct.turntable.hw=[16,16]"]
    words = ["reconstruct", str(photos), "--on", "ray", "--elevation-deg", "10", *turn, "--out", str(out)]
    assert main(words) == 0
    assert outcomes(out) == dict.fromkeys(("ant", "bee", "cow"), "ok")
    meshes = read_version(Storage(str(out))).meshes
    assert meshes == tuple(sorted(sha256_bytes(data) for data in files(out / "meshes").values()))
    assert [f"{one}.glb" for one in meshes] == sorted(path.name for path in (out / "meshes").iterdir())
    assert main(words) == 0
    assert len(tried(out)) == 3

    assert main([*words, "--seed", "1"]) == 0
    assert len(list((out / "meshes").iterdir())) == 6
    where = ["--set", f"storage.root={out}"]
    assert main(["vacuum", "--older-than", "0s", *where]) == 0
    left = read_version(Storage(str(out))).meshes
    assert sorted(path.stem for path in (out / "meshes").iterdir()) == list(left)
    assert not set(left) & set(meshes)
    assert main(["verify", *where]) == 0
    (out / "meshes" / f"{left[0]}.glb").write_bytes(b"other bytes")
    capsys.readouterr()
    assert main(["verify", *where]) == 1
    assert f"meshes/{left[0]}.glb: expected sha256 {left[0]}, got " in capsys.readouterr().err


@pytest.mark.slow
def test_with_a_model(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs give equal bytes, and the pictures that the simple batch gives."""
    from tests.zero123.networks import small_pipeline  # loads torch

    monkeypatch.setattr("pipeline.run.Crew", Alone)
    model = tmp_path / "model"
    small_pipeline().save_pretrained(model)
    words = ["sample", str(photos), "--model", str(model), "--set", "sample.steps=2", "--device", "cpu", "--orbit", "2"]
    roots = [tmp_path / "once", tmp_path / "again"]
    for root in roots:
        assert main([*words, "--on", "ray", "--alpha", "--out", str(root)]) == 0
    once, again = (files(root, "shards", "versions") for root in roots)
    assert once == again
    assert main([*words, "--alpha", "--out", str(tmp_path / "batch")]) == 0
    storage = Storage(str(roots[0]))
    shard = read_version(storage).shards[0]
    for entry in shard.samples:
        sample = read_sample(storage, shard, entry)
        for view in range(2):
            with Image.open(tmp_path / "batch" / sample.uid.partition("_")[0] / f"{view:03d}.png") as picture:
                assert np.abs(np.asarray(picture).astype(int) - sample.image(view)).max() <= 1
        assert sample.facts["render"]["model"]["from"] == "model"
