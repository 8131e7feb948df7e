"""What was set is what Blender has: read back from Blender itself, in a process of its own."""

import json
import subprocess
import sys

import numpy as np
import pytest

from geometry.camera import world_from_cam
from render.lights import draw_lights
from render.viewpoints import draw_viewpoints
from tests.render.conftest import EXAMPLES, ROOT

PROGRAM = """
import json, sys
from pathlib import Path
import numpy as np
import bpy
from render.blender.camera import add_camera, place
from render.blender.importing import import_model
from render.blender.lights import add_lights
from render.blender.normalise import bounds, normalise
from render.blender.scene import apply_render_settings, make_empty_scene
from render.job import RenderJob

job = json.loads(sys.stdin.read())
scene = make_empty_scene()
import_model(RenderJob(uid="x", file=job["file"], seed=0, settings=job["settings"], extrinsics=[], lights=[],
                       out_dir="", root=str(Path(job["file"]).parent)))
foreign = bpy.data.objects.new("its own lamp", bpy.data.lights.new("lamp", "SUN"))
scene.collection.objects.link(foreign)
child = next(thing for thing in scene.objects if thing.type == "MESH")
child.parent = foreign
foreign.location = (5, 0, 0)
bpy.context.view_layer.update()
normalise(scene)
low, high = bounds()
add_lights(scene, job["lights"], None)
camera = add_camera(scene, job["settings"]["lens"])
apply_render_settings(scene, job["settings"])
poses = []
for extrinsics in job["extrinsics"]:
    place(camera, np.array(extrinsics))
    seen = camera.evaluated_get(bpy.context.evaluated_depsgraph_get())
    poses.append(np.array(seen.matrix_world)[:3].tolist())
cycles, render, view, image = scene.cycles, scene.render, scene.view_settings, scene.render.image_settings
print("READ", json.dumps({
    "poses": poses, "low": low.tolist(), "high": high.tolist(),
    "lens": camera.data.lens, "sensor": camera.data.sensor_width, "fit": camera.data.sensor_fit,
    "samples": cycles.samples, "adaptive": cycles.use_adaptive_sampling, "seed": cycles.seed,
    "bounces": [cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces, cycles.transmission_bounces,
                cycles.transparent_max_bounces],
    "filter": cycles.filter_width, "denoise": [cycles.use_denoising, cycles.denoiser, cycles.denoising_quality,
                                               cycles.denoising_prefilter],
    "engine": render.engine, "hw": [render.resolution_y, render.resolution_x], "transparent": render.film_transparent,
    "threads": [render.threads_mode, render.threads], "dither": render.dither_intensity, "stamp": render.use_stamp,
    "view": [view.view_transform, view.look, view.exposure, view.gamma, scene.display_settings.display_device],
    "lamps": [[t.data.type, t.data.energy, list(t.location)] for t in scene.objects if t.type == "LIGHT"],
    "aims": [list(t.matrix_world.to_3x3().col[2]) for t in scene.objects if t.type == "LIGHT"],
    "world": scene.world.node_tree.nodes["Background"].inputs["Strength"].default_value,
    "cameras": sum(t.type == "CAMERA" for t in scene.objects),
    "scripts": bpy.context.preferences.filepaths.use_scripts_auto_execute,
}))
"""


@pytest.fixture(scope="module")
def chosen(settings):
    return settings(hw=[96, 128], views=12, samples=7, exposure=0.25, adaptive_threshold=0.02)


@pytest.fixture(scope="module")
def read(chosen):
    job = {
        "file": str(EXAMPLES / "dog.glb"),
        "settings": chosen.model_dump(mode="json"),
        "extrinsics": draw_viewpoints(chosen, "dog", 0).tolist(),
        "lights": draw_lights(chosen.chosen_lights, "dog", 0),
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=json.dumps(job), capture_output=True, text=True, cwd=ROOT, check=True
    )
    return json.loads(next(line for line in done.stdout.splitlines() if line.startswith("READ "))[5:])


def test_blender_camera_matches_extrinsics(chosen, read) -> None:
    assert np.allclose(read["poses"], world_from_cam(draw_viewpoints(chosen, "dog", 0)), atol=1e-6)
    assert read["lens"] == 35.0
    assert read["sensor"] == 32.0
    assert read["fit"] == "AUTO"


def test_sampling_and_colours_are_those_of_the_settings(chosen, read) -> None:
    assert read["engine"] == "CYCLES"
    assert read["hw"] == [96, 128]
    assert read["transparent"] is True
    assert read["samples"] == 7
    assert read["adaptive"] is True
    assert read["seed"] == 0
    assert read["bounces"] == list(chosen.bounces.model_dump().values())
    assert read["filter"] == pytest.approx(1.5)
    assert read["denoise"] == [True, "OPENIMAGEDENOISE", "FAST", "NONE"]
    assert read["view"] == ["Standard", "None", 0.25, 1.0, "sRGB"]
    assert read["dither"] == 0.0
    assert read["stamp"] is False
    assert read["threads"] == ["FIXED", 1]
    assert read["scripts"] is False


def test_only_the_described_lights_light_the_scene(chosen, read) -> None:
    *lamps, world = draw_lights(chosen.chosen_lights, "dog", 0)
    assert [[kind, energy] for kind, energy, _ in read["lamps"]] == [
        ["AREA", pytest.approx(lamp["strength"])] for lamp in lamps
    ]
    assert np.allclose([place for _, _, place in read["lamps"]], [lamp["position"] for lamp in lamps], atol=1e-6)
    away = np.array([lamp["position"] for lamp in lamps])
    assert np.allclose(read["aims"], away / np.linalg.norm(away, axis=1, keepdims=True), atol=1e-5)
    assert read["world"] == pytest.approx(world["strength"])
    assert read["cameras"] == 1


def test_child_of_a_lamp_counts_for_the_unit_box(read) -> None:
    low, high = np.array(read["low"]), np.array(read["high"])
    assert (high - low).max() == pytest.approx(1.0, abs=1e-5)
    assert np.allclose(low + high, 0.0, atol=1e-5)
