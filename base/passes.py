"""The passes that may be stored beside a view's picture, and their files. Writers and readers share these names."""

from typing import Literal

Pass = Literal["depth", "normal_camera", "normal_world", "albedo", "mask"]

PASS_FILES: dict[str, str] = {
    "depth": "depth.npy",
    "normal_camera": "normal_camera.npy",
    "normal_world": "normal_world.npy",
    "albedo": "albedo.webp",
    "mask": "mask.png",
}
"""The file name of each pass, without the leading view number and dot.

depth: float32 (H, W), distance along the camera's axis in units of the object's longest edge. normal_*: float16
(H, W, 3), unit vectors in camera or world axes. albedo: uint8 RGB (H, W, 3), the share of light that the surface
reflects, sRGB-encoded. mask: uint8 (H, W), 255 on the object. The other passes are 0 off the object.
"""


def pass_file(view: int, name: str) -> str:
    """Name the file of a pass of view number `view`: `00.depth.npy`, …"""
    return f"{view:02d}.{PASS_FILES[name]}"
