"""Textured GLB files are valid glTF, by Khronos's own validator."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import trimesh

from geometry.camera import PAPER_LENS, look_at_origin
from reconstruct.edges import vertex_normals
from reconstruct.gltf import textured_glb
from reconstruct.mesh import Mesh
from reconstruct.texture import bake_texture

pytestmark = pytest.mark.server

HERE = Path(__file__).parents[1] / "render" / "three"
PROGRAM = """
const validator = require("gltf-validator"), fs = require("fs");
validator.validateBytes(new Uint8Array(fs.readFileSync(process.argv[1])))
  .then((report) => console.log(JSON.stringify(report.issues)));
"""


def issues(data: bytes, folder: Path) -> dict:
    """The validator's counts and messages; `npm ci` has installed it beside three.js."""
    assert (HERE / "node_modules" / "gltf-validator").is_dir(), f"expected gltf-validator: npm ci --prefix {HERE}"
    (folder / "object.glb").write_bytes(data)
    command = ["node", "-e", PROGRAM, str(folder / "object.glb")]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=120, check=True)
    return json.loads(done.stdout)


def test_a_textured_mesh_is_valid_and_a_damaged_file_is_not(tmp_path: Path) -> None:
    ball = trimesh.creation.icosphere(subdivisions=2, radius=0.4)
    mesh = Mesh(ball.vertices, ball.faces, vertex_normals(ball.vertices, ball.faces), np.zeros((162, 3), np.uint8))
    camera = look_at_origin([1.2, -0.8, 0.9])
    views = np.ones((1, 32, 32, 4), np.float32)
    textured = bake_texture(mesh, views, camera[None], PAPER_LENS, 64, first_is_photo=True)
    data = textured_glb(textured, camera, PAPER_LENS)
    found = issues(data, tmp_path)
    assert found["numErrors"] == 0, found["messages"]
    assert found["numWarnings"] == 0, found["messages"]
    assert found["numInfos"] == 0, found["messages"]
    assert issues(data[:-100], tmp_path)["numErrors"] > 0
