"""Pictures that a model names as other machines do are seen; a model that lacks one is left out, and says so."""

import base64
import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from base.outcomes import Outcome
from render.formats.roots import Root
from render.job import RenderResult
from render.run import render_views
from tests.render.conftest import FLAT, write_glb
from tests.render.scripts import run_in_blender

GREEN, RED = (20, 220, 40), (220, 30, 20)
FLAT_SIDES = FLAT | {"bounces": {**FLAT["bounces"], "transparent": 8}, "checks": {"bad": []}, "hw": [32, 32]}
BOX = """v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nvt 0.1 0.1\nvt 0.9 0.1\nvt 0.1 0.9
{}f 1/1 3/3 2/2\nf 1/1 2/2 4/3\nf 1/1 4/3 3/2\nf 2/1 3/2 4/3\n"""

EXPORT = """
import os
import sys
import bpy
folder = sys.argv[1]
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.ops.wm.obj_import(filepath=f"{folder}/author/model.obj")
os.makedirs(f"{folder}/zip/source")
os.makedirs(f"{folder}/moved")
bpy.ops.export_scene.fbx(filepath=f"{folder}/zip/source/model.fbx", path_mode="ABSOLUTE")
bpy.ops.wm.save_as_mainfile(filepath=f"{folder}/moved/model.blend", relative_remap=False)
os._exit(0)
"""


def picture(path: Path, colour: tuple[int, ...]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGBA" if len(colour) == 4 else "RGB", (8, 8), colour).save(path)


def obj(folder: Path, mtl: str, use: str = "usemtl m\n") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "m.mtl").write_text(f"newmtl m\nKd 1 1 1\n{mtl}\n")
    (folder / "model.obj").write_text("mtllib m.mtl\n" + BOX.format(use))
    return folder / "model.obj"


@pytest.fixture
def seen(settings, blender, tmp_path):
    """The outcome of a model, its result, and the pixels of its first view (H, W, 4)."""

    def render(path: Path, **changes: Any) -> tuple[Any, np.ndarray]:
        out = tmp_path / "out"
        result = render_views(blender, path, "x", settings(**FLAT_SIDES, **changes), 0, out, root=Root.of_file(path))
        view = out / "00.webp"
        return result, np.array(Image.open(view)) if view.exists() else np.zeros((0, 0, 4), np.uint8)

    return render


def is_unseen(result: RenderResult, view: np.ndarray) -> bool:
    """True for an object that is found to be wholly transparent, before its views or in them."""
    return result.outcome is Outcome.EMPTY or (result.outcome is Outcome.OK and not view[..., 3].any())


def is_all(view: np.ndarray, colour: tuple[int, int, int]) -> bool:
    opaque = view[view[..., 3] == 255][:, :3].astype(int)
    return len(opaque) > 0 and bool(np.abs(opaque - colour).max() < 12)


@pytest.mark.parametrize(
    ("place", "named", "use"),
    [
        ("textures/tex.png", "textures\\tex.png", "usemtl m\n"),
        ("Textures/TEX.png", "textures/tex.png", "usemtl m\n"),
        ("../images/tex.png", "../images/tex.png", "usemtl m\n"),
        ("tex.png", "C:\\author\\tex.png", ""),
    ],
)
def test_an_obj_shows_the_picture_that_was_found(seen, tmp_path, place, named, use) -> None:
    picture(tmp_path / "models" / place, GREEN)
    result, view = seen(obj(tmp_path / "models", f"map_Kd {named}", use))
    assert result.reason == ""
    assert result.outcome == Outcome.OK
    assert result.missing_pictures == []
    assert is_all(view, GREEN)


def test_colours_under_zero_alpha(seen, tmp_path) -> None:
    picture(tmp_path / "tex.png", (*GREEN, 0))
    assert is_all(seen(obj(tmp_path, "map_Kd tex.png"))[1], GREEN)
    result, view = seen(obj(tmp_path, "map_Kd tex.png\nmap_d tex.png"))
    assert is_unseen(result, view), result


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_a_grey_mask_hides_what_is_black_in_it(seen, tmp_path, mode) -> None:
    picture(tmp_path / "tex.png", GREEN)
    Image.new("L", (8, 8), 0).convert(mode).save(tmp_path / "d.png")
    result, view = seen(obj(tmp_path, "map_Kd tex.png\nmap_d d.png"))
    assert is_unseen(result, view), result
    Image.new("L", (8, 8), 255).convert(mode).save(tmp_path / "d.png")
    assert is_all(seen(obj(tmp_path, "map_Kd tex.png\nmap_d d.png"))[1], GREEN)


@pytest.mark.parametrize("kind", ["fbx", "blend"])
def test_binary_formats_show_pictures_where_an_archive_has_them(seen, tmp_path, kind) -> None:
    picture(tmp_path / "author" / "tex.png", RED)
    obj(tmp_path / "author", "map_Kd tex.png")
    run_in_blender(EXPORT, str(tmp_path), scratch=tmp_path)
    model = {"fbx": tmp_path / "zip" / "source" / "model.fbx", "blend": tmp_path / "moved" / "model.blend"}[kind]
    result, _ = seen(model)
    assert (result.outcome, result.missing_pictures) == (Outcome.MISSING_PICTURES, ["tex.png (missing)"])
    textures = {"fbx": tmp_path / "zip" / "textures", "blend": tmp_path / "moved" / "textures"}[kind]
    picture(textures / "Tex.png", GREEN)
    result, view = seen(model)
    assert (result.outcome, result.warnings) == (Outcome.OK, [])
    assert is_all(view, GREEN)


def textured_glb(path: Path, *images: dict[str, Any], blob: bytes = b"", texture: Any = None) -> Path:
    """A triangle with a texture of the first image."""
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], "<f4").tobytes() + np.zeros((3, 2), "<f4").tobytes()
    views = [{"buffer": 0, "byteLength": 36}, {"buffer": 0, "byteOffset": 36, "byteLength": 24}]
    document = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "buffers": [{"byteLength": len(points + blob)}],
        "bufferViews": [*views, *([{"buffer": 0, "byteOffset": 60, "byteLength": len(blob)}] if blob else [])],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3", "min": [0, 0, 0], "max": [1, 1, 0]},
            {"bufferView": 1, "componentType": 5126, "count": 3, "type": "VEC2"},
        ],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0, "TEXCOORD_0": 1}, "material": 0}]}],
        "materials": [{"doubleSided": True, "pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}],
        "textures": [texture or {"source": 0}],
        "images": images,
    }
    return write_glb(path, document, points + blob)


def png(colour: tuple[int, int, int], edge: int = 64) -> bytes:
    return encoded(colour, "png", edge)


def encoded(colour: tuple[int, int, int], kind: str, edge: int = 64, **options: Any) -> bytes:
    stream = BytesIO()
    noise = np.random.default_rng(0).integers(0, 2, (edge, edge, 3), np.uint8)
    Image.fromarray(np.uint8(colour) + noise).save(stream, kind, **options)
    return stream.getvalue()


BASISU = {"extensions": {"KHR_texture_basisu": {"source": 0}}}


@pytest.mark.parametrize(
    ("image", "blob", "texture", "missing"),
    [
        ({"uri": "gone/tex.png"}, b"", None, ["gone/tex.png"]),
        ({"bufferView": 2, "mimeType": "image/png"}, png(GREEN)[:-300], None, ["Image_0 (not readable)"]),
        ({"bufferView": 2, "mimeType": "image/jpeg"}, encoded(GREEN, "jpeg")[:-20], None, ["Image_0 (cut short)"]),
        ({"bufferView": 2, "mimeType": "image/jpeg"}, encoded(GREEN, "jpeg", progressive=True)[:-3], None,
         ["Image_0 (cut short)"]),
        ({"bufferView": 2, "mimeType": "image/webp"}, encoded(GREEN, "webp", lossless=True)[:-99],
         {"extensions": {"EXT_texture_webp": {"source": 0}}}, ["Image_0 (cut short)"]),
        ({"bufferView": 2, "mimeType": "image/ktx2", "name": "wood"}, b"\xabKTX 20\xbb", BASISU,
         ["wood (KHR_texture_basisu)"]),
    ],
)  # fmt: skip
def test_gltf_without_a_picture_follows_the_setting(seen, tmp_path, image, blob, texture, missing) -> None:
    model = textured_glb(tmp_path / "x.glb", image, blob=blob, texture=texture)
    result, view = seen(model)
    assert result.outcome == Outcome.MISSING_PICTURES
    assert result.missing_pictures == missing
    assert view.size == 0
    assert missing[0] in result.reason
    result, _ = seen(model, missing_pictures="render")
    assert (result.outcome, result.missing_pictures) == (Outcome.OK, missing)
    assert result.warnings == [f"shown without these pictures: {missing[0]}"]
    assert json.loads((tmp_path / "out" / "views.json").read_text())["missing_pictures"] == missing[0]


def test_pictures_that_nothing_shows_are_not_missed(seen, tmp_path) -> None:
    data = base64.b64encode(png(GREEN)).decode()
    model = textured_glb(tmp_path / "x.glb", {"uri": f"data:image/png;base64,{data}"}, {"uri": "gone.png"})
    result, view = seen(model)
    assert (result.outcome, result.missing_pictures) == (Outcome.OK, [])
    assert view[..., 1].max() > 100


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_bytes_after_a_whole_picture_do_no_harm(seen, tmp_path, kind) -> None:
    """Exporters pad, and cameras put a smaller JPEG, with an end of its own, before the picture."""
    thumbnail = Image.fromarray(np.full((8, 8, 3), 99, np.uint8))
    stream = BytesIO()
    thumbnail.save(stream, "jpeg")
    data = encoded(GREEN, kind, exif=b"Exif\0\0" + stream.getvalue()) + b"\0" * 16
    texture = {"extensions": {"EXT_texture_webp": {"source": 0}}} if kind == "webp" else None
    result, view = seen(
        textured_glb(tmp_path / "x.glb", {"bufferView": 2, "mimeType": f"image/{kind}"}, blob=data, texture=texture)
    )
    assert (result.outcome, result.missing_pictures) == (Outcome.OK, [])
    assert view[..., 1].max() > 100
