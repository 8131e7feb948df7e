"""Data sets of meshes without views, in the exact form on disk: GSO and ShapeNet."""

from pathlib import Path

import pytest

from base.errors import Failure, UsageError
from evaluation.datasets.gso import Gso, uid_of
from evaluation.datasets.shapenet import ShapeNet

OBJ = "# Katamari OBJ encoder\nmtllib model.mtl\nv 0 0 0\nv 2 0 0\nv 0 1 0\nv 0 0 .5\nvt 0 0\nvn 0 0 1\n"
OBJ += "".join(f"f {a}/1/1 {b}/1/1 {c}/1/1\n" for a, b, c in ((1, 3, 2), (1, 2, 4), (1, 4, 3), (2, 3, 4)))
METADATA = 'name: "Bell \\"old\\""\ndescription: "brass"\nannotations {\n  name: "brand"\n}\n'
METADATA += 'categories {\n  first: "Toys"\n}\n'


def test_gso_folders(tmp_path: Path) -> None:
    folder = tmp_path / "School Bell (Brass)"
    for part in ("meshes", "materials/textures"):
        (folder / part).mkdir(parents=True)
    (folder / "meshes" / "model.obj").write_text(OBJ)
    (folder / "metadata.pbtxt").write_text(METADATA)
    (folder / "materials" / "textures" / "texture.png").write_bytes(b"png")
    (tmp_path / "thumbnails").mkdir()
    dataset = Gso(tmp_path)
    (uid,) = dataset.uids()
    assert uid == uid_of("School Bell (Brass)")
    assert uid.startswith("School_Bell_Brass_")
    truth = dataset.load(uid)
    assert truth.read_mesh is not None
    low, high = truth.read_mesh().box
    assert (high - low) == pytest.approx([1.0, 0.5, 0.25])
    facts = dataset.facts(uid)
    assert facts.name == 'Bell "old"'
    assert facts.category == "Toys"
    assert facts.is_textured
    with pytest.raises(Failure, match="chair"):
        dataset.load("chair")
    assert uid_of("Cole_Hardware") == "Cole_Hardware"


def test_shapenet_folders_are_y_up(tmp_path: Path) -> None:
    for model, name in (("abc", "models/model_normalized.obj"), ("def", "model.obj")):
        path = tmp_path / "02691156" / model / name
        path.parent.mkdir(parents=True)
        path.write_text(OBJ)
    (tmp_path / "taxonomy").mkdir()
    dataset = ShapeNet(tmp_path)
    assert dataset.uids() == ("02691156-abc", "02691156-def")
    truth = dataset.load("02691156-abc")
    assert truth.read_mesh is not None
    low, high = truth.read_mesh().box
    assert (low.tolist(), high.tolist()) == ([0, -0.5, 0], [2, 0, 1])
    with pytest.raises(Failure, match="expected models"):
        dataset.load("02691156-xyz")
    (tmp_path / "other").mkdir()
    with pytest.raises(UsageError, match="8 digits"):
        ShapeNet(tmp_path / "02691156").uids()
