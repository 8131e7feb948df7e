"""From a field to its textured mesh: the photo on its own side, the field elsewhere, and the record beside it."""

import json

import numpy as np
import pytest

from geometry.camera import PAPER_LENS, camera_centre, look_at_origin
from reconstruct.field_views import field_views
from reconstruct.finish import Finished, Photo, finish_field
from reconstruct.gltf import GLTF_FROM_WORLD
from reconstruct.record import reconstruction_record
from reconstruct.turntable import picture
from tests.reconstruct.scenes import SphereField, small_settings, sphere_alpha

HW = (64, 64)
CAMERA = look_at_origin([1.8, 0.0, 0.0])
GREEN = (20, 230, 20)


@pytest.fixture(scope="module")
def photo() -> Photo:
    """A green ball, unlike the field, which is red above and blue below."""
    rgba = np.zeros((*HW, 4), np.uint8)
    rgba[sphere_alpha(CAMERA, HW)] = (*GREEN, 255)
    return Photo(rgba, CAMERA, PAPER_LENS)


@pytest.fixture(scope="module")
def finished(photo: Photo) -> Finished:
    return finish_field(SphereField(0.35, 200.0), photo, small_settings(), seed=0)


def test_views_of_a_field_show_its_colours_with_straight_alpha() -> None:
    (view,) = field_views(SphereField(0.35, 20.0), look_at_origin([0.0, 0.0, 1.8])[None], PAPER_LENS, HW, 64)
    assert (view[32, 32] > 0.99).tolist() == [True, False, False, True]
    assert view[0, 0].tolist() == [0.0, 0.0, 0.0, 0.0]
    faint = (view[..., 3] > 0.05) & (view[..., 3] < 0.9)
    assert faint.any()
    assert (view[faint][:, 0] > 0.99).all()  # not darker where it is faint


def test_the_photo_paints_what_it_sees_and_the_field_the_rest(finished: Finished) -> None:
    front, back = (
        picture(finished.mesh, look_at_origin([x, 0.0, 0.4]), PAPER_LENS, HW)[32, 32, :3].argmax() for x in (1.8, -1.8)
    )
    assert (front, back) == (1, 0)
    assert finished.mesh.texture.shape == (128, 128, 3)
    assert finished.mesh.seen > 0.8


def test_the_record_tells_counts_level_and_camera(finished: Finished, photo: Photo) -> None:
    record = json.loads(json.dumps(reconstruction_record(finished, photo, "score", 0.9, ["object.glb"])))
    assert record["level"] == 20.0
    assert record["watertight"] is True
    assert record["components"] == 1
    assert record["vertices"] < len(finished.mesh.vertices)  # which are counted before seams split them
    assert record["faces"] == len(finished.mesh.faces)
    np.testing.assert_allclose(record["scale"]["highest"], [0.35] * 3, atol=0.02)
    camera = np.array(record["input_camera"]["mesh_from_camera"])
    np.testing.assert_allclose(camera[:3, 3], GLTF_FROM_WORLD @ camera_centre(CAMERA), atol=1e-9)
    np.testing.assert_allclose(camera[:3, :3] @ [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], atol=1e-9)  # it looks at the object
