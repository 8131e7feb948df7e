"""Google Scanned Objects in the exact form of their archives: what is listed, and what Blender then sees."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from base.errors import UsageError
from base.progress import SILENT, PlainProgress
from base.storage import Storage
from pipeline.builder import build
from pipeline.catalog.tables import Catalog
from pipeline.sources.folder import folder_objects
from pipeline.sources.gso import gso_objects, read_facts
from shards.reader import read_sample
from shards.version import read_version
from tests.pipeline.builds import tiny

NAME = "Cole_Hardware_School_Bell"
MTL = "newmtl material_0\nKa 1 1 1\nKd 1 1 1\nmap_Kd texture.png\n"
METADATA = """name: "Cole Hardware School Bell \\"Brass\\""
description: "A bell"
annotations {
  name: "brand"
  value: "Cole"
}
categories {
  first: "Toys"
}
legal {
  license: "Creative Commons Attribution 4.0 International"
}
"""
CONFIG = """<?xml version="1.0"?>
<model>
  <name>Cole_Hardware_School_Bell</name>
  <version>1.0</version>
  <sdf version="1.6">model.sdf</sdf>
  <author>
    <name>GoogleResearch &amp; others</name>
    <email>scans@example.com</email>
  </author>
</model>
"""
SDF = """<?xml version="1.0"?>
<sdf version="1.6"><model name="bell"><link name="link_0"><visual name="visual"><geometry>
<mesh><uri>meshes/model.obj</uri></mesh></geometry></visual></link></model></sdf>
"""
CORNERS = [(x, y, z) for x in (-0.1, 0.1) for y in (-0.2, 0.2) for z in (0.0, 0.8)]
"""A box that stands on z = 0, four times as high as it is wide."""
SIDES = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]


def write_scan(root: Path, name: str = NAME, colour: tuple[int, int, int] = (200, 10, 10)) -> Path:
    folder = root / name
    for part in ("meshes", "materials/textures", "thumbnails"):
        (folder / part).mkdir(parents=True)
    lines = ["# File exported by Katamari OBJ encoder", "# 8 vertices, 12 faces", "mtllib model.mtl"]
    lines += [f"v {x} {y} {z}" for x, y, z in CORNERS]
    lines += ["vt 0 0", "vt 1 0", "vt 1 1", "usemtl material_0"]
    for a, b, c, d in SIDES:
        lines += [f"f {i + 1}/1 {j + 1}/2 {k + 1}/3" for i, j, k in ((a, b, c), (a, c, d))]
    (folder / "meshes" / "model.obj").write_text("\n".join(lines) + "\n")
    (folder / "meshes" / "model.mtl").write_text(MTL)
    Image.new("RGB", (8, 8), colour).save(folder / "materials" / "textures" / "texture.png")
    Image.new("RGB", (8, 8)).save(folder / "thumbnails" / "0.jpg")
    (folder / "metadata.pbtxt").write_text(METADATA)
    (folder / "model.config").write_text(CONFIG)
    (folder / "model.sdf").write_text(SDF)
    return folder


def test_scans_are_listed_with_what_their_files_say(tmp_path: Path) -> None:
    folder = write_scan(tmp_path)
    (tmp_path / "notes").mkdir()
    said = io.StringIO()
    (item,) = gso_objects(tmp_path, PlainProgress(said))
    assert f"{tmp_path}: left out, without meshes/model.obj: notes" in said.getvalue()
    assert item.uid.startswith(f"{NAME}_")
    assert item.location == str(folder / "meshes" / "model.obj")
    assert (item.source, item.title, item.category) == ("gso", 'Cole Hardware School Bell "Brass"', "Toys")
    assert (item.author, item.licence) == ("GoogleResearch & others", "Creative Commons Attribution 4.0 International")
    assert read_facts(folder).is_textured
    # The texture is part of the object, and so is its up axis.
    assert item.sha256 != folder_objects(tmp_path, SILENT)[0].sha256
    Image.new("RGB", (8, 8), (0, 0, 255)).save(folder / "materials" / "textures" / "texture.png")
    assert gso_objects(tmp_path, SILENT)[0].sha256 != item.sha256


def test_scans_without_their_papers_are_named_after_their_folder(tmp_path: Path) -> None:
    folder = write_scan(tmp_path)
    for name in ("metadata.pbtxt", "model.config", "materials/textures/texture.png"):
        (folder / name).unlink()
    (item,) = gso_objects(tmp_path, SILENT)
    assert (item.title, item.author, item.licence) == ("Cole Hardware School Bell", "", "")
    assert not read_facts(folder).is_textured


def test_what_is_no_folder_of_scans_is_a_usage_error(tmp_path: Path) -> None:
    folder = write_scan(tmp_path / "scans")
    for root, problem in (
        (tmp_path / "nowhere", "expected a folder with a folder for each scan"),
        (tmp_path, r"expected NAME/meshes/model\.obj in .*, got 1 other folders"),
        (folder, "got that of a single scan"),
    ):
        with pytest.raises(UsageError, match=rf"objects\.gso: .*{problem}"):
            gso_objects(root, SILENT)


@pytest.mark.slow
@pytest.mark.usefixtures("without_ray")
def test_blender_sees_a_scan_upright_and_in_its_colours(tmp_path: Path) -> None:
    write_scan(tmp_path / "scans")
    where = {"source": "gso", "gso": str(tmp_path / "scans"), "filter": {"licences": ["CC-BY-4.0"]}}
    settings = tiny(tmp_path / "dataset", tmp_path, objects=where)
    build(settings, SILENT)
    storage = Storage(settings.storage.root)
    (row,) = Catalog(storage).objects().values()
    assert (row.outcome, row.missing_pictures) == ("ok", "")
    (shard,) = read_version(storage).shards
    sample = read_sample(storage, shard, shard.samples[0])
    low, high = np.array(sample.facts["render"]["normalisation"]["bounds"])
    np.testing.assert_allclose(high - low, (0.2, 0.4, 0.8), atol=1e-6)
    seen = sample.image(0)
    red, green, blue = seen[seen[..., 3] == 255][:, :3].mean(axis=0)
    assert red > 3 * max(green, blue)
    assert build(settings, SILENT).idle
