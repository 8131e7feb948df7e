"""What may be stored beside the picture of a view, and in which file: the words of who writes and who reads it."""

from typing import Literal

Pass = Literal["depth", "normal_camera", "normal_world", "albedo", "mask"]

PASS_FILES: dict[str, str] = {
    "depth": "depth.npy",
    "normal_camera": "normal_camera.npy",
    "normal_world": "normal_world.npy",
    "albedo": "albedo.webp",
    "mask": "mask.png",
}
"""The file of each pass, after the view's number and a dot.

depth: float32 (H, W), distance along the camera's axis in units of the object's longest edge. normal_*: float16
(H, W, 3), unit vectors in camera or world axes. albedo: uint8 RGB (H, W, 3), the share of light that the surface gives
back, sRGB-encoded. mask: uint8 (H, W), 255 where something is seen. All but mask are 0 where nothing is.
"""


def pass_file(view: int, name: str) -> str:
    """The file of a pass of view number `view`: `00.depth.npy`, …"""
    return f"{view:02d}.{PASS_FILES[name]}"
