"""Folders of views in three layouts: the same pixels and cameras, and nothing trusted."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from base.errors import Failure
from render.layouts import convert_views
from shards.layouts import layout_of, read_views
from tests.shards.datasets import HW, VIEWS, make_views

LAYOUTS = ("views", "nerf", "legacy")


@pytest.fixture(params=LAYOUTS)
def layout(request) -> str:
    return str(request.param)


def laid_out(folder: Path, layout: str) -> Path:
    make_views(folder, "thing")
    lens = {"focal_mm": 35.0, "sensor_mm": 32.0}
    views = [{"view": view} for view in range(VIEWS)]
    facts = {"uid": "thing", "hw": list(HW), "lens": lens, "passes": "", "views": views}
    (folder / "views.json").write_text(json.dumps(facts))
    convert_views(folder, layout)
    return folder


def test_every_layout_reads_back_as_it_was_rendered(tmp_path: Path, layout: str) -> None:
    whole = read_views(laid_out(tmp_path / "own", "views"))
    views = read_views(laid_out(tmp_path / "other", layout))
    assert views.layout == layout
    assert views.facts["uid"] == "thing"
    np.testing.assert_array_equal(views.images, whole.images)
    np.testing.assert_allclose(views.extrinsics, whole.extrinsics, rtol=0, atol=1e-14)


def test_what_other_tools_wrote_needs_no_facts_and_no_suffix(tmp_path: Path) -> None:
    folder = laid_out(tmp_path / "x", "nerf")
    (folder / "views.json").unlink()
    told = json.loads((folder / "transforms.json").read_text())
    for frame in told["frames"]:
        frame["file_path"] = f"./{frame['file_path'].removesuffix('.png')}"
    (folder / "transforms.json").unlink()
    (folder / "transforms_train.json").write_text(json.dumps(told))
    assert (len(read_views(folder).images), read_views(folder).facts) == (VIEWS, {})


@pytest.mark.parametrize("name", ["../own.png", "/etc/passwd", "a\\b", ""])
def test_a_frame_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    folder = laid_out(tmp_path / "x", "nerf")
    shutil.copy(folder / "000.png", tmp_path / "own.png")
    told = json.loads((folder / "transforms.json").read_text())
    told["frames"][0]["file_path"] = name
    (folder / "transforms.json").write_text(json.dumps(told))
    with pytest.raises(Failure, match="expected file_path inside the folder"):
        read_views(folder)


def test_damage_is_one_sentence_that_names_the_folder(tmp_path: Path, layout: str) -> None:
    folder = laid_out(tmp_path / "damaged", layout)
    camera = {"views": "extrinsics.npy", "nerf": "transforms.json", "legacy": "001.npy"}[layout]
    picture = "01.webp" if layout == "views" else "001.png"
    for name, bad in ((picture, b"not a picture"), (camera, b"[1, 2"), (camera, b"[]")):
        kept = (folder / name).read_bytes()
        (folder / name).write_bytes(bad)
        with pytest.raises(Failure, match="damaged: expected a folder of rendered views"):
            read_views(folder)
        (folder / name).write_bytes(kept)
    (folder / picture).unlink()
    with pytest.raises(Failure, match="damaged: expected a folder of rendered views"):
        read_views(folder)


def test_objects_in_an_array_are_never_unpickled(tmp_path: Path) -> None:
    folder = laid_out(tmp_path / "x", "legacy")
    np.save(folder / "001.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(Failure, match="expected a folder of rendered views"):
        read_views(folder)


def test_a_folder_of_anything_else_has_no_layout(tmp_path: Path) -> None:
    (tmp_path / "notes.json").write_text("{}")
    assert layout_of(tmp_path) is None
    with pytest.raises(Failure, match=r"no extrinsics\.npy, no transforms\.json and no 000\.npy"):
        read_views(tmp_path)
