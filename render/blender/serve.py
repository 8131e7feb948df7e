"""The child's loop: read a job from a line, write a line as each phase begins, and then the result."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import bpy
from PIL import Image, features
from PIL import __version__ as pillow_version

from render.blender.device import DeviceMissing, choose_device
from render.blender.object_render import ObjectRender
from render.job import RenderJob

DEEPEST = 100_000
"""Calls inside each other: Blender's importers follow nodes below nodes by recursion."""


def serve(device: str, channel: int, walls: dict[str, str]) -> None:
    """Answer jobs from standard input on the file descriptor `channel` until the input ends."""
    Image.MAX_IMAGE_PIXELS = None  # what it opens here are our own renders
    sys.setrecursionlimit(DEEPEST)

    def send(message: dict[str, Any]) -> None:
        data = json.dumps(message).encode() + b"\n"
        # A pipe may take only part of a long line.
        while data:
            data = data[os.write(channel, data) :]

    try:
        used = choose_device(device)
    except DeviceMissing as error:
        send({"refused": str(error)})
        return
    send({"ready": True, "walls": walls, "device": used, "versions": versions()})
    for line in sys.stdin:
        job = RenderJob.from_json(Path(json.loads(line)["job"]).read_bytes())
        result = ObjectRender(job, used, versions(), lambda phase: send({"phase": phase})).result()
        send({"result": result.to_json()})


def versions() -> dict[str, str]:
    """Return the versions of the programs that determine a picture's bytes."""
    return {
        "blender": bpy.app.version_string,
        "blender_build": bpy.app.build_hash.decode(),
        "pillow": pillow_version,
        "webp": str(features.version("webp")),
    }
