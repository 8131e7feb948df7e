"""A texture baked from views: the object's colours come back in every file, also where nothing was seen."""

import io
from pathlib import Path

import numpy as np
import pytest
import trimesh

from geometry.camera import PAPER_LENS, camera_centre, look_at_origin
from reconstruct.gltf import GLTF_FROM_WORLD, textured_glb
from reconstruct.mesh import Mesh
from reconstruct.mesh_files import ply_bytes, texture_png, write_mesh
from reconstruct.raster import rasterise
from reconstruct.simplify import vertex_normals
from reconstruct.texture import TexturedMesh, bake_texture, inpainted, padded
from reconstruct.usdz import usdz_bytes
from reconstruct.viewpoints import draw_viewpoints

HW = (64, 64)


def paint(points: np.ndarray) -> np.ndarray:
    """A smooth colour at each point (N, 3)."""
    return 0.5 + 0.4 * np.sin(6.0 * points + np.array([0.0, 1.0, 2.0]))


def view(shape: trimesh.Trimesh, camera: np.ndarray) -> np.ndarray:
    raster = rasterise(shape.vertices, shape.faces, camera, PAPER_LENS, HW)
    points = np.einsum("hwk,hwkc->hwc", raster.barycentric, shape.vertices[shape.faces[raster.face]])
    alpha = (raster.face >= 0)[..., None]
    return np.concatenate([paint(points) * alpha, alpha], -1).astype(np.float32)


@pytest.fixture(scope="module")
def ball() -> trimesh.Trimesh:
    return trimesh.creation.icosphere(subdivisions=3, radius=0.4)


@pytest.fixture(scope="module")
def baked(ball: trimesh.Trimesh) -> TexturedMesh:
    mesh = Mesh(ball.vertices, ball.faces, vertex_normals(ball.vertices, ball.faces), np.zeros((642, 3), np.uint8))
    cameras = draw_viewpoints(0, 24, (1.5, 2.2))
    images = np.stack([view(ball, camera) for camera in cameras])
    return bake_texture(mesh, images, cameras, PAPER_LENS, 256, first_is_photo=False)


def test_texels_have_the_colour_of_their_point(baked: TexturedMesh) -> None:
    corners = baked.faces
    middle = baked.uv[corners].mean(1) * 256
    seen = baked.texture[middle[:, 1].astype(int), middle[:, 0].astype(int)] / 255.0
    wrong = np.abs(seen - paint(baked.vertices[corners].mean(1))).max(1)
    assert baked.seen > 0.97
    assert np.quantile(wrong, 0.95) < 0.06


def test_a_view_from_above_paints_the_top_alone(ball: trimesh.Trimesh) -> None:
    mesh = Mesh(ball.vertices, ball.faces, vertex_normals(ball.vertices, ball.faces), np.zeros((642, 3), np.uint8))
    camera = look_at_origin([0.0, 0.0, 1.8])
    half = bake_texture(mesh, view(ball, camera)[None], camera[None], PAPER_LENS, 128, first_is_photo=True)
    assert 0.2 < half.seen < 0.5
    assert half.texture.reshape(-1, 3).max(1).min() > 0  # the rest is filled


def test_unknown_points_take_the_nearest_colour() -> None:
    points = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.9, 0.0, 0.0]])
    colours = np.array([[0.1] * 3, [0.7] * 3, [0.0] * 3])
    filled = inpainted(points, colours, np.array([True, True, False]))
    np.testing.assert_array_equal(filled[2], colours[1])
    assert (inpainted(points, colours, np.zeros(3, bool)) == 0.5).all()


def test_padding_repeats_the_nearest_texel() -> None:
    texture, covered = np.zeros((8, 8, 3)), np.zeros((8, 8), bool)
    texture[2, 2], covered[2, 2] = 0.3, True
    texture[6, 6], covered[6, 6] = 0.8, True
    filled = padded(texture, covered)
    assert filled[0, 0, 0] == 0.3
    assert filled[7, 7, 0] == 0.8


def test_a_glb_has_texture_and_the_inputs_camera(baked: TexturedMesh) -> None:
    camera = look_at_origin([1.2, -0.8, 0.9])
    data = textured_glb(baked, camera, PAPER_LENS)
    scene = trimesh.load(io.BytesIO(data), file_type="glb", process=False)
    (shape,) = scene.geometry.values()
    np.testing.assert_allclose(shape.vertices, baked.vertices @ GLTF_FROM_WORLD.T, atol=1e-6)
    np.testing.assert_allclose(shape.visual.uv[:, 1], 1.0 - baked.uv[:, 1], atol=1e-6)
    image = np.asarray(shape.visual.material.baseColorTexture.convert("RGB"))
    np.testing.assert_array_equal(image, baked.texture)
    place = scene.graph.get("input")[0][:3, 3]
    np.testing.assert_allclose(place, GLTF_FROM_WORLD @ camera_centre(camera), atol=1e-6)
    assert data == textured_glb(baked, camera, PAPER_LENS)


def test_obj_and_ply_are_read_back(baked: TexturedMesh, tmp_path: Path) -> None:
    camera = look_at_origin([1.2, -0.8, 0.9])
    names = write_mesh(baked, tmp_path, "object", ("obj", "ply"), camera, PAPER_LENS)
    assert sorted(names) == sorted(path.name for path in tmp_path.iterdir())
    assert set(names) == {"object.glb", "object.mtl", "object.obj", "object.ply", "object.png"}
    assert (tmp_path / "object.glb").read_bytes() == textured_glb(baked, camera, PAPER_LENS)
    shape = trimesh.load(tmp_path / "object.obj", process=False)
    assert len(shape.faces) == len(baked.faces)
    assert np.asarray(shape.visual.material.image).shape == (256, 256, 3)
    cloud = trimesh.load(io.BytesIO(ply_bytes(baked)), file_type="ply", process=False)
    wrong = np.abs(cloud.visual.vertex_colors[:, :3] / 255.0 - paint(baked.vertices)).max(1)
    assert np.median(wrong) < 0.06


def test_usdz_is_a_valid_package_of_the_same_mesh(baked: TexturedMesh, tmp_path: Path) -> None:
    from pxr import Usd, UsdGeom, UsdValidation

    camera, path = look_at_origin([1.2, -0.8, 0.9]), tmp_path / "object.usdz"
    path.write_bytes(usdz_bytes(baked, texture_png(baked), camera, PAPER_LENS))
    stage = Usd.Stage.Open(str(path))
    every = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    assert any("Package" in validator.GetMetadata().name for validator in every)
    assert [one.GetMessage() for one in UsdValidation.ValidationContext(every).Validate(stage)] == []
    shape = UsdGeom.Mesh(stage.GetPrimAtPath("/object/mesh"))
    np.testing.assert_allclose(shape.GetPointsAttr().Get(), baked.vertices @ GLTF_FROM_WORLD.T, atol=1e-6)
    where = UsdGeom.PrimvarsAPI(shape).GetPrimvar("st").Get()
    np.testing.assert_allclose(np.array(where)[:, 1], 1.0 - baked.uv[:, 1], atol=1e-6)
    seen = UsdGeom.Camera(stage.GetPrimAtPath("/object/input")).GetCamera(Usd.TimeCode.Default()).frustum
    np.testing.assert_allclose(seen.GetPosition(), GLTF_FROM_WORLD @ camera_centre(camera), atol=1e-6)
    assert path.read_bytes() == usdz_bytes(baked, texture_png(baked), camera, PAPER_LENS)
