"""Rendering only the object's rectangle loses nothing: against the whole frame, in a process of its own."""

import json
import subprocess
import sys

import numpy as np
import pytest

from render.lights import draw_lights
from render.viewpoints import draw_viewpoints
from tests.render.conftest import EXAMPLES, ROOT

PROGRAM = """
import json, os, sys
from pathlib import Path
import numpy as np
from render.blender import sandbox
job = json.loads(sys.stdin.read())
with sandbox.limit_visible_cpus(1):
    import bpy
from render.blender.camera import add_camera, place
from render.blender.importing import import_model
from render.blender.lights import add_lights
from render.blender.normalise import normalise
from render.blender.scene import apply_render_settings, make_empty_scene
from render.job import RenderJob
from render.blender.shoot import shoot
from render.blender.window import Window, Windows, is_bounded_by_faces

scratch, hw = Path(job["scratch"]), tuple(job["settings"]["hw"])
scene = make_empty_scene()
import_model(RenderJob(uid="x", file=job["file"], seed=0, settings=job["settings"], extrinsics=[], lights=[],
                       out_dir="", root=str(Path(job["file"]).parent)))
normalise(scene)
add_lights(scene, job["lights"], None)
camera = add_camera(scene, job["settings"]["lens"])
apply_render_settings(scene, job["settings"])
windows, found = Windows(job["settings"]), []
for number, extrinsics in enumerate(job["extrinsics"]):
    place(camera, np.array(extrinsics))
    window = windows.of(np.array(extrinsics))
    parts, whole = shoot(scene, scratch, window), shoot(scene, scratch, Window.full_frame(hw))
    found.append({"window": list(window[:4]), "parts": parts.tolist(), "whole": whole.tolist()})
wrong = shoot(scene, scratch, Window(30, 30, 60, 60, hw))
inside = np.array(job["extrinsics"][0]); inside[:, 3] = 0.1
facts = {"wrong": bool((wrong == whole).all()), "inside": list(windows.of(inside)[:4])}
facts["bounded"] = is_bounded_by_faces()
scene.cycles.use_denoising = False
place(camera, np.array(job["extrinsics"][0]))
first = windows.of(np.array(job["extrinsics"][0]))
facts["noisy"] = bool((shoot(scene, scratch, first) == shoot(scene, scratch, Window.full_frame(hw))).all())
bpy.data.materials[0].displacement_method = "BOTH"
facts["moved by a shader"] = list(Windows(job["settings"]).of(np.array(extrinsics))[:4])
threads = [os.sched_getaffinity(int(thread)) for thread in os.listdir("/proc/self/task")]
facts["cpus"] = [len(threads), min(map(len, threads)), len(os.sched_getaffinity(os.getppid()))]
print("FOUND", json.dumps({"views": found, **facts}))
"""


@pytest.fixture(scope="module")
def found(settings, tmp_path_factory):
    """Two views of a wheel with thin spokes from afar, and one from so near that the frame cuts it."""
    chosen = settings(hw=[90, 128], views=2, samples=16)
    extrinsics = draw_viewpoints(chosen, "ferris_wheel", 0)
    near = extrinsics[:1].copy()
    near[:, 2, 3] *= 0.6
    job = {
        "file": str(EXAMPLES / "ferris_wheel.glb"),
        "settings": chosen.model_dump(mode="json"),
        "extrinsics": np.concatenate([extrinsics, near]).tolist(),
        "lights": draw_lights(chosen.chosen_lights, "ferris_wheel", 0),
        "scratch": str(tmp_path_factory.mktemp("window") / "view.png"),
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=json.dumps(job), capture_output=True, text=True, cwd=ROOT, check=True
    )
    return json.loads(next(line for line in done.stdout.splitlines() if line.startswith("FOUND "))[6:])


def test_the_rectangle_shows_what_the_whole_frame_shows(found) -> None:
    """All is the same to the bit but what the denoiser makes of another surrounding, and that hardly differs."""
    assert found["noisy"] is True
    for view in found["views"]:
        parts, whole = (np.array(view[name], float) for name in ("parts", "whole"))
        assert np.array_equal(parts[..., 3], whole[..., 3])
        assert (whole[..., 3] > 0).any()
        difference = np.abs(parts - whole)[..., :3] * whole[..., 3:] / 255.0
        assert difference[whole[..., 3] > 0].mean() < 2.0  # of 255


def test_window_stays_in_the_frame(found) -> None:
    areas = [(bottom - top) * (right - left) for top, left, bottom, right in (v["window"] for v in found["views"])]
    assert max(areas[:2]) < 0.7 * 90 * 128
    assert found["views"][2]["window"][::2] == [0, 90]
    assert found["inside"] == found["moved by a shader"] == [0, 0, 90, 128]
    assert found["bounded"] is True


def test_cut_window_is_rendered_as_a_full_frame(found) -> None:
    assert found["wrong"] is True


def test_threads_may_run_on_every_cpu_though_blender_counted_one(found) -> None:
    count, fewest, all_cpus = found["cpus"]
    assert count > 1
    assert fewest == all_cpus
