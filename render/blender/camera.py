"""Make the cameras of a job in Blender."""

from typing import Any

import bpy
import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from geometry.camera import world_from_cam

CLIP = (0.01, 1000.0)
"""Nearest and farthest distance that is drawn, in object units."""


def add_camera(scene: bpy.types.Scene, lens: dict[str, Any]) -> bpy.types.Object:
    """Add the scene's camera; the sensor's width spans the longer edge of the image."""
    data = bpy.data.cameras.new("camera")
    data.lens = lens["focal_mm"]
    data.sensor_fit = "AUTO"
    data.sensor_width = lens["sensor_mm"]
    data.clip_start, data.clip_end = CLIP
    camera = bpy.data.objects.new("camera", data)
    scene.collection.objects.link(camera)
    scene.camera = camera
    return camera


def place(camera: bpy.types.Object, cam_from_world: NDArray[np.float64]) -> None:
    """Move the camera to `cam_from_world` (3, 4). Blender's camera axes are ours: OpenGL's."""
    pose = np.eye(4)
    pose[:3] = world_from_cam(cam_from_world)
    camera.matrix_world = Matrix(pose.tolist())
    # Without this Blender reads the pose of the view before.
    bpy.context.view_layer.update()
