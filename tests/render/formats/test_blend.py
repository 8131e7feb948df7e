"""Blender's own files: only what they show is taken, and nothing in them runs, links or reads."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from base.outcomes import Outcome
from render.run import render_views
from tests.render.conftest import FLAT
from tests.render.found import companions
from tests.render.models import write_marker_object
from tests.render.scripts import run_in_blender
from tests.render.test_checks import answer, refusal

PROGRAM = """
import os
import sys
import bpy
from mathutils import Matrix
source, folder = sys.argv[1:]
trap = f"open({folder + '/sprung'!r}, 'w')"
bpy.ops.wm.read_factory_settings(use_empty=True)
scene = bpy.context.scene
bpy.ops.wm.obj_import(filepath=source)
part = bpy.context.object

# The object is shown by an instance alone, far away, turned over and back by a mirrored parent.
held = bpy.data.collections.new("held")
held.objects.link(part)
scene.collection.objects.unlink(part)
shown, parent = bpy.data.objects.new("shown", None), bpy.data.objects.new("parent", None)
shown.instance_type, shown.instance_collection, shown.parent = "COLLECTION", held, parent
parent.matrix_world = Matrix.Diagonal((-2, 2, 2, 1))
shown.matrix_basis = Matrix.Diagonal((-1, 1, 1, 1))
for thing in (shown, parent):
    scene.collection.objects.link(thing)

# What a render would not show, and what is no shape.
def cube(name):
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata([(-90, -90, 0), (90, -90, 0), (0, 90, 50)], [], [(0, 1, 2)])
    return bpy.data.objects.new(name, mesh)
hidden, left_out = cube("hidden"), bpy.data.collections.new("left out")
hidden.hide_render = True
scene.collection.objects.link(hidden)
left_out.objects.link(cube("left out"))
scene.collection.children.link(left_out)
left_out.hide_render = True
scene.collection.objects.link(bpy.data.objects.new("lamp", bpy.data.lights.new("lamp", "SUN")))
scene.collection.objects.link(bpy.data.objects.new("eye", bpy.data.cameras.new("eye")))

# Traps.
text = bpy.data.texts.new("trap.py")
text.write(trap)
text.use_module = True
driver = shown.driver_add("location", 0).driver
driver.type, driver.expression = "SCRIPTED", trap.replace("'w')", "'w').fileno()")
cache = part.modifiers.new("cache", "MESH_CACHE")
cache.cache_format, cache.filepath = "PC2", "/etc/hostname"
material = bpy.data.materials.new("script")
material.use_nodes = True
script = material.node_tree.nodes.new("ShaderNodeScript")
script.mode, script.filepath = "EXTERNAL", "/etc/hostname"
picture = material.node_tree.nodes.new("ShaderNodeTexImage")
picture.image = bpy.data.images.load(f"{folder}/../secret.png")
extra = bpy.data.meshes.new("extra")
extra.materials.append(material)
scene.collection.objects.link(bpy.data.objects.new("extra", extra))
bpy.ops.wm.save_as_mainfile(filepath=f"{folder}/rich.blend", compress=True)

bpy.ops.wm.read_factory_settings(use_empty=True)
with bpy.data.libraries.load(f"{folder}/rich.blend", link=True) as (held, wanted):
    wanted.objects = ["obj"] if "obj" in held.objects else held.objects
for thing in wanted.objects:
    bpy.context.scene.collection.objects.link(thing)
bpy.ops.wm.save_as_mainfile(filepath=f"{folder}/linking.blend", compress=True)
os._exit(0)  # Blender that wrote a file may not end by itself
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("blend") / "in"
    folder.mkdir()
    Image.new("RGB", (2, 2)).save(folder.parent / "secret.png")
    source = write_marker_object(folder.parent / "x.obj")
    run_in_blender(PROGRAM, str(source), str(folder), scratch=folder.parent)
    (folder / "sprung").unlink(missing_ok=True)
    return folder


def test_only_what_a_render_shows_is_taken_and_nothing_runs(settings, blender, folder, tmp_path) -> None:
    chosen = settings(**FLAT)
    plain = render_views(blender, write_marker_object(tmp_path / "x.obj"), "marker", chosen, 4, tmp_path / "plain")
    rich = render_views(blender, folder / "rich.blend", "marker", chosen, 4, tmp_path / "rich")
    assert plain.outcome == Outcome.OK
    assert rich.reason == ""
    assert rich.outcome == Outcome.OK
    for view in ("00.webp", "01.webp"):
        seen, expected = (np.array(Image.open(tmp_path / name / view)) / 255 for name in ("rich", "plain"))
        assert np.abs(seen - expected).mean() < 0.005
    assert rich.checks["faces"] == plain.checks["faces"]
    assert (rich.warnings, rich.missing_pictures) == ([], [])  # nothing shows the picture
    assert not (folder / "sprung").exists()


def test_a_file_that_links_others_is_refused(folder) -> None:
    assert refusal(folder / "copy.blend", (folder / "linking.blend").read_bytes()).outcome is Outcome.UNSUPPORTED


@pytest.mark.parametrize("name", ["plain", "zstandard", "gzip"])
def test_a_sound_file_passes_and_a_cut_one_is_corrupt(folder, exported, tmp_path, name) -> None:
    sound = (folder / "rich.blend" if name == "zstandard" else exported / "x.blend").read_bytes()
    sound = gzip.compress(sound, mtime=0) if name == "gzip" else sound
    (tmp_path / "x.blend").write_bytes(sound)
    assert companions(tmp_path / "x.blend") == []
    for share in (0.0, 0.0001, 0.3, 0.9):
        assert refusal(tmp_path / "x.blend", sound[: int(len(sound) * share)]).outcome is Outcome.CORRUPT
    rng = np.random.default_rng(7)
    for _ in range(20):
        data = np.frombuffer(sound, np.uint8).copy()
        places = rng.integers(0, len(data), 1 + rng.integers(8))
        data[places] = rng.integers(0, 256, len(places))
        (tmp_path / "x.blend").write_bytes(data.tobytes())
        assert answer(tmp_path / "x.blend").startswith("expected")


@pytest.mark.parametrize(
    ("data", "outcome", "words"),
    [
        (b"BLENDER-v999", Outcome.UNSUPPORTED, "4.5 or older"),
        (b"BLENDER-V405", Outcome.UNSUPPORTED, "little-endian"),
        (b"BLENDER17-01v0500", Outcome.UNSUPPORTED, "or older"),
        (b"BLENDER-v300DATA" + struct.pack("<i16x", -1), Outcome.CORRUPT, "0 bytes or more"),
        (b"PK\3\4" + bytes(60), Outcome.CORRUPT, "a Blender file"),
    ],
)
def test_a_strange_header_is_refused(tmp_path: Path, data: bytes, outcome: Outcome, words: str) -> None:
    refused = refusal(tmp_path / "x.blend", data)
    assert refused.outcome == outcome, refused
    assert words in str(refused), refused
