"""Layouts of other tools for rendered views: NeRF's synthetic scenes and the released data of Zero-1-to-3."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from base.digest import canonical_json
from base.passes import PASS_FILES, pass_file
from base.storage import write_atomically
from geometry.camera import Lens
from geometry.transforms import nerf_transforms
from render.job import view_name
from render.run import npy_bytes

LAYOUTS = {
    "views": "NN.webp, extrinsics.npy and views.json, as a build stages them",
    "nerf": "NNN.png and transforms.json, as NeRF's synthetic scenes (world_from_cam, OpenGL axes)",
    "legacy": "NNN.png and NNN.npy (cam_from_world), as the released views of Zero-1-to-3",
}


def convert_views(views: Path, layout: str) -> None:
    """Convert a folder from `render_views` to a layout of LAYOUTS, in place.

    Images keep their exact pixels. Passes keep their bytes and are named like the images: `000.depth.npy`.
    """
    if layout == "views":
        return
    facts = json.loads((views / "views.json").read_bytes())
    extrinsics = np.load(views / "extrinsics.npy", allow_pickle=False)
    for number in range(len(extrinsics)):
        name = f"{number:03d}.png"
        with Image.open(views / view_name(number)) as picture:
            picture.convert("RGBA").save(views / name, optimize=True)
        # View by view, so that both copies of all pictures never exist together.
        (views / view_name(number)).unlink()
        for one in facts["passes"].split():
            (views / pass_file(number, one)).rename(views / f"{number:03d}.{PASS_FILES[one]}")
        facts["views"][number]["file"] = name
    write_atomically(views / "views.json", canonical_json(facts).encode())
    if layout == "nerf":
        files = [facts["views"][number]["file"] for number in range(len(extrinsics))]
        transforms = nerf_transforms(extrinsics, files, Lens(**facts["lens"]), tuple(facts["hw"]))
        text = json.dumps(transforms, indent=2)
        write_atomically(views / "transforms.json", f"{text}\n".encode())
    else:
        for number, cam_from_world in enumerate(extrinsics):
            write_atomically(views / f"{number:03d}.npy", npy_bytes(cam_from_world))
    (views / "extrinsics.npy").unlink()
