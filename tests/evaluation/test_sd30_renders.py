"""Our renderer, with the recipe of SD-30, beside its published pictures: three of its scans are also at hand as GLB."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.settings import load_settings
from base.outcomes import Outcome
from evaluation.datasets.sd30 import HW, POLAR_DEG, RADIUS, START_AZIMUTH_DEG, VIEWS, Sd30
from evaluation.images.psnr import psnr_db
from evaluation.images.values import rgb_on_white
from geometry.rig import place_cameras
from render.child import RenderChild
from render.formats.registry import model_files
from render.job import RenderJob, view_name
from render.lights import draw_lights
from render.settings import LampSettings, RenderSettings, RigSettings
from tests.evaluation.shared import SD30, SHARED, needs_sd30

SCANS = {
    "bell": "Cole_Hardware_School_Bell_Solid_Brass_38",
    "lion": "Schleich_Lion_Action_Figure",
    "school_bus1": "SCHOOL_BUS",
}
SEEN = (0, 6)
GLB_HEADER, CHUNK_HEADER = struct.Struct("<4sII"), struct.Struct("<I4s")

pytestmark = [
    pytest.mark.slow,
    needs_sd30,
    pytest.mark.skipif(not (SHARED / "objects" / "gso").is_dir(), reason="the scans are not beside the checkout"),
]


def recipe() -> RenderSettings:
    """Blender's start-up lamp, a grey world, Filmic, and the limits of SyncDreamer's script."""
    at, strength = ((4.076, 4.076), (1.005, 1.005), (5.904, 5.904)), (1000.0, 1000.0)
    lamp = LampSettings(kind="point", x=at[0], y=at[1], z=at[2], aim="origin", size=0.1, strength=strength)
    render = load_settings(None, ["legacy"], []).render
    bounces = render.bounces.model_copy(update={"diffuse": 1, "glossy": 1, "transmission": 3, "transparent": 3})
    lights = {"sd30": RigSettings(lamps=(lamp,), world=0.5)}
    changes = {"hw": HW, "light": "sd30", "lights": lights, "bounces": bounces, "object_rectangle": True}
    return render.model_copy(update=changes)


def without_specular(source: Path, target: Path) -> Path:
    """Copy a GLB with materials without a specular part, as those of the published scans."""
    data = source.read_bytes()
    length, kind = CHUNK_HEADER.unpack_from(data, GLB_HEADER.size)
    assert kind == b"JSON"
    start = GLB_HEADER.size + CHUNK_HEADER.size
    values = json.loads(data[start : start + length])
    for material in values["materials"]:
        material.setdefault("extensions", {})["KHR_materials_specular"] = {"specularFactor": 0.0}
    values["extensionsUsed"] = sorted({*values.get("extensionsUsed", []), "KHR_materials_specular"})
    text = json.dumps(values).encode()
    text += b" " * (-len(text) % 4)
    body = CHUNK_HEADER.pack(len(text), b"JSON") + text + data[start + length :]
    target.write_bytes(GLB_HEADER.pack(b"glTF", 2, GLB_HEADER.size + len(body)) + body)
    return target


def cameras(uid: str) -> np.ndarray:
    """The ring of an object in the frame of its file, where the lamp is."""
    azimuths = np.deg2rad(START_AZIMUTH_DEG.get(uid, 0.0) + np.array(SEEN) * 360.0 / VIEWS)
    return place_cameras(np.array([(np.deg2rad(POLAR_DEG), azimuth, RADIUS) for azimuth in azimuths]))


@pytest.fixture(scope="module")
def blender() -> Iterator[RenderChild]:
    with RenderChild(recipe()) as child:
        yield child


@pytest.mark.parametrize("uid", SCANS)
def test_renders_are_38_db_from_the_published_pictures(uid: str, blender: RenderChild, tmp_path: Path) -> None:
    settings = recipe()
    model = without_specular(SHARED / "objects" / "gso" / f"{SCANS[uid]}.glb", tmp_path / "scan.glb")
    job = RenderJob(
        uid=uid,
        file=str(model),
        seed=0,
        settings=settings.model_dump(mode="json"),
        extrinsics=cameras(uid).tolist(),
        lights=draw_lights(settings.chosen_lights, uid, 0),
        out_dir=str(tmp_path / "views"),
    )
    result = blender.render(job, model_files(model))
    assert result.outcome is Outcome.OK, result.reason
    truth, found = Sd30(SD30).load(uid), dict[int, float]()
    for number, view in enumerate(SEEN):
        with Image.open(tmp_path / "views" / view_name(number)) as picture:
            made = np.asarray(picture.convert("RGBA"))
        found[view] = psnr_db(rgb_on_white(made), rgb_on_white(truth.views[view].read()))
    assert min(found.values()) >= 38.0, f"dB by view: {found}"
