"""Files of a reconstructed mesh, opened by Blender: it stands, faces and is coloured there as it was reconstructed."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.settings import load_settings
from app.turntables import in_unit_box
from base.outcomes import Outcome
from bench.scans import draw, load_scan
from geometry.camera import PAPER_LENS, world_from_cam
from reconstruct.mesh_files import write_mesh
from reconstruct.simplify import surface_mesh
from reconstruct.surface import fit_surface
from reconstruct.texture import bake_texture
from reconstruct.viewpoints import draw_viewpoints
from render.child import RenderChild
from render.formats.registry import model_files
from render.job import RenderJob, pass_file, view_name
from render.lights import draw_lights
from tests.render.scripts import run_in_blender

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples" / "objects"
HW = (192, 192)
NAMES = ("dog", "avocado")
VIEWS, HELD_OUT = 40, 4
SETTINGS = load_settings(
    None,
    [],
    [
        f"render.hw={list(HW)}",
        "render.light=uniform",
        "render.samples=32",
        "render.passes=[albedo]",
    ],
)
CAMERA = """
import json, os, sys
import bpy
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.ops.import_scene.gltf(filepath=sys.argv[1])
(seen,) = [one for one in bpy.data.objects if one.type == "CAMERA"]
found = {"name": seen.name, "world": [list(row) for row in seen.matrix_world], "fov": seen.data.angle_y}
with open(sys.argv[2], "w") as file:
    json.dump(found, file)
os._exit(0)
"""


@pytest.fixture(scope="module")
def blender() -> Iterator[RenderChild]:
    with RenderChild(SETTINGS.render) as child:
        yield child


class Oracle:
    """A textured mesh from true views of an object, its files, and true views from cameras that it was not given."""

    def __init__(self, name: str, folder: Path) -> None:
        scan = load_scan(EXAMPLES / f"{name}.glb")
        cameras = draw_viewpoints(0, VIEWS + HELD_OUT, SETTINGS.reconstruct.score.radius)
        images = np.stack([draw(scan, camera, HW, lit=True) for camera in cameras]).astype(np.float32) / 255.0
        seen, self.held_out, self.cameras = images[:VIEWS], images[VIEWS:], cameras[VIEWS:]
        field = fit_surface(seen, cameras[:VIEWS], PAPER_LENS, SETTINGS.reconstruct.surface, 0.52)
        mesh = surface_mesh(field, 10_000)
        self.mesh = bake_texture(mesh, seen, cameras[:VIEWS], PAPER_LENS, 1024, first_is_photo=False)
        self.input_camera, self.folder = cameras[0], folder
        write_mesh(self.mesh, folder, "object", ("usdz",), self.input_camera, PAPER_LENS)


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Oracle]:
    made: dict[str, Oracle] = {}

    def get(name: str) -> Oracle:
        if name not in made:
            made[name] = Oracle(name, tmp_path_factory.mktemp(name))
        return made[name]

    return get


def pictures(blender: RenderChild, file: Path, cameras: np.ndarray) -> np.ndarray:
    """Views of a model's file, as Blender imports it, without shading; straight RGBA (V, H, W, 4) in [0, 1]."""
    job = RenderJob(
        uid="x",
        file=str(file),
        seed=0,
        settings=SETTINGS.render.model_dump(mode="json"),
        extrinsics=cameras.tolist(),
        lights=draw_lights(SETTINGS.render.chosen_lights, "x", 0),
        out_dir=str(file.parent / f"{file.suffix[1:]}_views"),
    )
    result = blender.render(job, model_files(file))
    assert result.outcome is Outcome.OK, result.reason
    return np.stack([flat(Path(job.out_dir), view) for view in range(len(cameras))])


def flat(folder: Path, view: int) -> np.ndarray:
    """A view in the surface's own colours; on its outline, where those are not pure, in the picture's."""
    with Image.open(folder / view_name(view)) as picture, Image.open(folder / pass_file(view, "albedo")) as albedo:
        rgba = np.asarray(picture.convert("RGBA")) / 255.0
        own = np.asarray(albedo.convert("RGB")) / 255.0
    return np.dstack([np.where(rgba[..., 3:] == 1.0, own, rgba[..., :3]), rgba[..., 3]])


def psnr_on_white(seen: np.ndarray, true: np.ndarray) -> float:
    both = [image[..., :3] * image[..., 3:] + 1.0 - image[..., 3:] for image in (seen, true)]
    return float(-10.0 * np.log10(np.square(both[0] - both[1]).mean()))


@pytest.mark.parametrize("kind", ["glb", "usdz"])
@pytest.mark.parametrize("name", NAMES)
def test_blender_shows_the_file_as_the_true_views(
    name: str, kind: str, oracle: Callable[[str], Oracle], blender: RenderChild
) -> None:
    made = oracle(name)
    seen = pictures(blender, made.folder / f"object.{kind}", in_unit_box(made.cameras, made.mesh)[0])
    assert psnr_on_white(seen, made.held_out) >= 30.0


def test_blender_finds_the_input_camera_where_it_was(oracle: Callable[[str], Oracle], tmp_path: Path) -> None:
    made = oracle("dog")
    run_in_blender(CAMERA, str(made.folder / "object.glb"), str(tmp_path / "found.json"), scratch=tmp_path)
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["name"] == "input"
    # Blender turns y up into z up, so its world is ours again.
    np.testing.assert_allclose(np.array(found["world"])[:3], world_from_cam(made.input_camera), atol=1e-5)
    assert abs(found["fov"] - PAPER_LENS.fov_rad) < 1e-5
