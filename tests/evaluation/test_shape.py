"""A mesh against views of itself: plain colours agree, and light of our own costs many dB."""

import math

import numpy as np

from evaluation.baselines import on_white
from evaluation.metrics import psnr
from evaluation.shape import mesh_against_views
from geometry.camera import PAPER_LENS, look_at_origin
from reconstruct.mesh import Mesh
from reconstruct.raster import rasterise
from reconstruct.turntable import picture
from tests.evaluation.shapes.solids import sphere_mesh

HW = (48, 48)


def red_ball() -> Mesh:
    ball = sphere_mesh(0.4, 12)
    normals = ball.vertices / np.linalg.norm(ball.vertices, axis=1, keepdims=True)
    return Mesh(ball.vertices, ball.faces, normals, np.full(ball.vertices.shape, (200, 40, 30), np.uint8))


def test_a_mesh_agrees_with_its_own_colours() -> None:
    ball, camera = red_ball(), look_at_origin([1.2, -0.9, 0.7])
    # A picture by the rasteriser alone, without smooth outlines.
    face = rasterise(ball.vertices, ball.faces, camera, PAPER_LENS, HW).face
    view = np.where((face >= 0)[..., None], np.array([200, 40, 30, 255]), 0).astype(np.uint8)
    (found,) = mesh_against_views(ball, [view], camera[None], PAPER_LENS, [0])
    assert found.iou == 1.0
    drawn = picture(ball, camera, PAPER_LENS, HW, shade=0.0)
    inside = drawn[..., 3] == 255
    assert (drawn[inside][:, :3] == (200, 40, 30)).all()
    lit = psnr(on_white(picture(ball, camera, PAPER_LENS, HW)), on_white(view))
    assert found.psnr > lit
    (own,) = mesh_against_views(ball, [drawn], camera[None], PAPER_LENS, [0])
    assert math.isinf(own.psnr) or own.psnr >= 100.0
