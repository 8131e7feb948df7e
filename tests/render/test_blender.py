"""The real child: true cameras, true bounds, the same bytes every time, a plain answer for what it cannot render."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from base.outcomes import Outcome
from geometry.camera import Lens, camera_centre, project
from render.child import RenderChild
from render.job import ObjectFacts
from render.run import render_views
from tests.render.conftest import EXAMPLES, write_glb
from tests.render.models import MARKER_RADIUS, MARKERS, digests, in_unit_box, marker_bounds, markers_glb

GLOW = {
    "views": 12,
    "hw": [192, 256],
    "samples": 16,
    "light": "dark",
    "lights": {"dark": {"lamps": [], "world": 0.0}},
    "denoise": {"enabled": False},
    "bounces": {"total": 0, "diffuse": 0, "glossy": 0, "transmission": 0, "transparent": 0},
}

FACTS = ObjectFacts(meshes=6, faces=1920, untextured=True, animated=False, frame=1.0)


def view(folder: Path, number: int) -> np.ndarray:
    with Image.open(folder / f"{number:02d}.webp") as image:
        assert image.mode == "RGBA"
        return np.array(image)


def test_known_points_land_on_the_rendered_pixels(settings, blender, tmp_path) -> None:
    """The closed loop: a marker's projection is the centroid of its pixels, in every one of twelve views."""
    chosen = settings(**GLOW)
    result = render_views(blender, markers_glb(tmp_path / "m.glb"), "markers", chosen, 3, tmp_path / "out")
    assert (result.outcome, result.reason) == (Outcome.OK, "")
    extrinsics = np.load(tmp_path / "out" / "extrinsics.npy")
    lens = Lens(**chosen.lens.model_dump())
    centres = np.stack([in_unit_box(centre) for centre in MARKERS.values()])
    radius = MARKER_RADIUS / (marker_bounds()[1] - marker_bounds()[0]).max()
    worst = 0.0
    for number, camera in enumerate(extrinsics):
        depth = -(centres @ camera[2, :3] + camera[2, 3])
        area = np.pi * (radius / depth * lens.focal_px(chosen.hw)) ** 2
        found = 0
        for colour, expected, full in zip(MARKERS, project(centres, camera, lens, chosen.hw), area, strict=True):
            weight = marker_weight(view(tmp_path / "out", number), colour)
            if abs(weight.sum() / full - 1.0) < 0.1:  # the others are half behind another marker
                rows, columns = np.mgrid[: chosen.hw[0], : chosen.hw[1]] + 0.5
                centroid = np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()
                worst = max(worst, float(np.abs(centroid - expected).max()))
                found += 1
        assert found >= 4, f"view {number}: only {found} markers in full view"
    assert worst < 0.5
    assert worst < 0.1  # what is left is the noise of 16 samples; a camera of the view before would be far off


def marker_weight(rgba: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    near = np.abs(rgba[..., :3].astype(int) - colour).max(axis=-1) < 40
    return np.asarray(np.where(near, rgba[..., 3] / 255.0, 0.0))


def test_the_record_says_how_the_model_was_normalised(settings, blender, tmp_path) -> None:
    chosen = settings(checks={"bad": []})
    result = render_views(blender, markers_glb(tmp_path / "m.glb"), "markers", chosen, 3, tmp_path / "out")
    assert (result.outcome, result.reason) == (Outcome.OK, "")
    record = json.loads((tmp_path / "out" / "views.json").read_text())
    low, high = marker_bounds()
    assert np.allclose(record["normalisation"]["bounds"], [low, high], atol=2e-3)  # balls are made of triangles
    assert record["normalisation"]["scale"] == pytest.approx(1.0 / (high - low).max(), rel=1e-3)
    assert np.allclose(record["normalisation"]["centre"], (low + high) / 2, atol=2e-3)
    assert record["views"][1]["radius"] == pytest.approx(
        np.linalg.norm(camera_centre(np.load(tmp_path / "out" / "extrinsics.npy")[1]))
    )
    assert record["device"] == "CPU"
    assert record["warnings"] == ""
    assert record["hw"] == [64, 64]
    assert record["checks"] == asdict(FACTS)
    assert record["versions"]["blender"].startswith("4.5")


def test_the_same_job_gives_the_same_bytes_on_any_threads(settings, blender, tmp_path) -> None:
    chosen = settings(views=3)

    def burger(child: RenderChild, name: str) -> dict[str, str]:
        result = render_views(child, EXAMPLES / "burger.glb", "burger", chosen, 0, tmp_path / name)
        assert result.outcome is Outcome.OK
        return digests(tmp_path / name)

    first = burger(blender, "first")
    assert set(first) == {"00.webp", "01.webp", "02.webp", "extrinsics.npy", "views.json"}
    render_views(blender, EXAMPLES / "fridge.glb", "fridge", chosen, 0, tmp_path / "other")
    assert burger(blender, "after another object") == first
    two_threads = settings(views=3, child={"threads": 2})
    with RenderChild(two_threads) as fresh:
        render_views(fresh, EXAMPLES / "burger.glb", "burger", two_threads, 0, tmp_path / "fresh")
    assert digests(tmp_path / "fresh") == first


def test_more_views_keep_the_bytes_of_the_earlier_ones(settings, blender, tmp_path) -> None:
    for views in (2, 4):
        render_views(blender, EXAMPLES / "dog.glb", "dog", settings(views=views), 0, tmp_path / f"{views}")
    few, many = digests(tmp_path / "2"), digests(tmp_path / "4")
    assert (few["00.webp"], few["01.webp"]) == (many["00.webp"], many["01.webp"])


def test_views_are_lossless_rgba_that_is_black_where_nothing_is(settings, blender, tmp_path) -> None:
    result = render_views(blender, EXAMPLES / "van.glb", "van", settings(hw=[48, 64]), 0, tmp_path / "out")
    for facts in result.views:
        path = tmp_path / "out" / f"{facts.view:02d}.webp"
        assert b"VP8L" in path.read_bytes()[:64]
        assert not any(tag in path.read_bytes() for tag in (b"EXIF", b"XMP ", b"ICCP"))
        rgba = view(tmp_path / "out", facts.view)
        assert rgba.shape == (48, 64, 4)
        assert not rgba[rgba[..., 3] == 0].any()
        assert facts.coverage == pytest.approx(rgba[..., 3].mean() / 255, abs=1e-6)
        assert 0.05 < facts.coverage < 0.9
        assert not facts.blank
        assert not facts.single_colour
        edge = np.concatenate([rgba[0], rgba[-1], rgba[:, 0], rgba[:, -1]])
        assert facts.touches_border == bool(edge[:, 3].any())


def test_hard_alpha_leaves_nothing_half_transparent(settings, blender, tmp_path) -> None:
    for alpha in ("soft", "hard"):
        chosen = settings(alpha=alpha, hw=[48, 48])
        render_views(blender, EXAMPLES / "dog.glb", "dog", chosen, 0, tmp_path / alpha)
    soft, hard = view(tmp_path / "soft", 0), view(tmp_path / "hard", 0)
    assert len(np.unique(soft[..., 3])) > 2
    assert np.array_equal(hard[..., 3], np.where(soft[..., 3] > 0, 255, 0))
    assert np.array_equal(hard[..., :3], soft[..., :3])


def test_undersides_are_lit(settings, blender, tmp_path) -> None:
    """Half of all views come from below; under the shipped light they show more than a black shape."""
    chosen = settings(views=12, hw=[32, 32])
    render_views(blender, EXAMPLES / "stool.glb", "stool", chosen, 0, tmp_path / "out")
    cameras = np.load(tmp_path / "out" / "extrinsics.npy")
    for number in np.flatnonzero(camera_centre(cameras)[:, 2] < 0.0):
        rgba = view(tmp_path / "out", int(number))
        assert rgba[rgba[..., 3] > 250][:, :3].mean() > 50


TRIANGLE = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32)


def triangle_glb(path: Path, positions: np.ndarray = TRIANGLE, **node: object) -> Path:
    accessor = {"bufferView": 0, "componentType": 5126, "type": "VEC3", "count": len(positions)}
    blob = positions.astype(np.float32).tobytes()
    document = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, **node}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, **({"mode": 0} if len(positions) < 3 else {})}]}],
        "accessors": [accessor | {"min": [0, 0, 0], "max": [1, 1, 1]}],
        "bufferViews": [{"buffer": 0, "byteLength": len(blob)}],
        "buffers": [{"byteLength": len(blob)}],
    }
    return write_glb(path, document, blob)


def bad_file(kind: str, folder: Path) -> Path:
    path = folder / "x.glb"
    if kind == "text":
        path.write_text("This is not a model.")
    elif kind == "truncated":
        path.write_bytes((EXAMPLES / "avocado.glb").read_bytes()[:30_000])
    elif kind == "empty_scene":
        write_glb(path, {"asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}], "nodes": [{}]})
    elif kind == "points":
        triangle_glb(path, TRIANGLE[:2])
    elif kind == "one_place":
        triangle_glb(path, TRIANGLE * 0)
    elif kind == "one_line":
        triangle_glb(path, TRIANGLE[[0, 1, 1]])
    elif kind == "infinite":
        triangle_glb(path, scale=[1e38, 1e38, 1e38], translation=[3e38, 3e38, 3e38])
    return path


@pytest.mark.parametrize(
    ("kind", "outcome", "words"),
    [
        ("text", Outcome.CORRUPT, "expected a binary glTF model"),
        ("truncated", Outcome.CORRUPT, "got 30000"),
        ("empty_scene", Outcome.EMPTY, "with faces"),
        ("points", Outcome.EMPTY, "with faces"),
        ("one_place", Outcome.EMPTY, "the same pos"),
        ("one_line", Outcome.EMPTY, "without area"),
        ("infinite", Outcome.CORRUPT, "finite"),
    ],
)
def test_a_bad_file_ends_with_a_sentence_and_the_next_renders(
    settings, blender, tmp_path, kind, outcome, words
) -> None:
    result = render_views(blender, bad_file(kind, tmp_path), kind, settings(), 0, tmp_path / "out")
    assert result.outcome == outcome, result
    assert words in result.reason, result
    assert not (tmp_path / "out" / "views.json").exists()
    after = render_views(blender, triangle_glb(tmp_path / "good.glb"), "good", settings(views=2), 5, tmp_path / "good")
    assert after.outcome is Outcome.OK, after


def test_text_gltf_renders_from_a_private_copy(settings, blender, tmp_path) -> None:
    (tmp_path / "in").mkdir()
    data = triangle_glb(tmp_path / "x.glb").read_bytes()
    length = int.from_bytes(data[12:16], "little")
    document = json.loads(data[20 : 20 + length])
    document["buffers"][0]["uri"] = "parts/points.bin"
    (tmp_path / "in" / "parts").mkdir()
    (tmp_path / "in" / "parts" / "points.bin").write_bytes(TRIANGLE.tobytes())
    (tmp_path / "in" / "x.gltf").write_text(json.dumps(document))
    result = render_views(blender, tmp_path / "in" / "x.gltf", "good", settings(), 5, tmp_path / "out")
    assert result.outcome is Outcome.OK, result
    assert sorted(path.name for path in (tmp_path / "in").rglob("*")) == ["parts", "points.bin", "x.gltf"]
