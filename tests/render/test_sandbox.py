"""What stands between the child and the files and network of others."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from base.outcomes import Outcome
from render.blender import landlock
from render.child import RenderChild
from render.run import render_views
from tests.render.conftest import FLAT, ROOT
from tests.render.scripts import run_in_blender

INTRUDER = """
import json, os, socket, sys
from pathlib import Path
from render.blender import sandbox
secret, port, device = sys.argv[1:]
walls = sandbox.enter_sandbox(os.getppid(), device)
def tried(act):
    try:
        return f"did: {act()}"
    except OSError as error:
        return type(error).__name__
def connected():
    with socket.create_connection(("127.0.0.1", int(port)), timeout=2.0):
        return "connected"
print(json.dumps({
    "walls": walls,
    "read": tried(lambda: Path(secret).read_text()),
    "list": tried(lambda: os.listdir(Path(secret).parent)),
    "write": tried(lambda: Path(secret).with_name("new").write_text("x")),
    "append": tried(lambda: open(secret, "a")),
    "remove": tried(lambda: os.unlink(secret)),
    "run": tried(lambda: os.execv(secret, [secret])),
    "parent": tried(lambda: Path(f"/proc/{os.getppid()}/environ").read_bytes()),
    "link": tried(lambda: os.symlink(secret, "link") or Path("link").read_text()),
    "connect": tried(connected),
    "own": tried(lambda: Path("mine").write_text("x")),
    "library": tried(lambda: len(Path(json.__file__).read_text()) > 0),
}))
"""


@pytest.fixture(scope="module")
def tries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a program behind the walls could do."""
    folder = tmp_path_factory.mktemp("walls")
    secret = folder / "secret"
    secret.write_text("the secret")
    secret.chmod(0o755)
    (folder / "private").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as server:
        command = [sys.executable, "-P", "-c", INTRUDER, str(secret), str(server.getsockname()[1]), "CPU"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            command, cwd=folder / "private", env=environment, capture_output=True, text=True, check=True
        )
    assert secret.read_text() == "the secret"
    return dict(json.loads(done.stdout))


def test_nothing_of_others_can_be_read_or_changed(tries) -> None:
    if tries["walls"]["files"] == "none":
        pytest.skip("this kernel has no Landlock")
    for act in ("read", "list", "write", "append", "remove", "run", "parent", "link"):
        assert tries[act] == "PermissionError", act
    assert (tries["own"], tries["library"]) == ("did: 1", "did: True")


def test_nobody_can_be_reached(tries) -> None:
    if tries["walls"]["network"] == "none":
        pytest.skip("this kernel gives no network namespace")
    assert tries["connect"] == "OSError"  # the network is unreachable


def test_without_landlock_nothing_happens_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class Old:
        def syscall(self, *_arguments: object) -> int:
            return -1

    monkeypatch.setattr(landlock.ctypes, "CDLL", lambda *_arguments, **_named: Old())
    assert landlock.restrict({landlock.READ: [Path("/usr")]}) is False


def test_the_walls_that_stood_are_known(settings, tries) -> None:
    with RenderChild(settings()) as child:
        assert child.isolation == ""
        child._ready()
        assert child.isolation == ", ".join(f"{name} {wall}" for name, wall in sorted(tries["walls"].items()))


ORANGE = (255, 110, 0)


def gltf(folder: Path, uri: str) -> Path:
    """A triangle with a picture."""
    (folder / "x.bin").write_bytes(np.array([[0, 0, 0], [1, 0, 0], [0, 1, 1]], "<f4").tobytes())
    document = {
        "asset": {"version": "2.0"},
        "buffers": [{"uri": "x.bin", "byteLength": 36}],
        "bufferViews": [{"buffer": 0, "byteLength": 36}],
        "accessors": [{"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"}],
        "images": [{"uri": uri}],
        "textures": [{"source": 0}],
        "materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}, "doubleSided": True}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "material": 0}]}],
        "nodes": [{"mesh": 0}],
        "scenes": [{"nodes": [0]}],
    }
    (folder / "x.gltf").write_text(json.dumps(document))
    return folder / "x.gltf"


def obj(folder: Path, name: str) -> Path:
    """The same as OBJ, whose materials name the picture."""
    (folder / "x.mtl").write_text(f"newmtl a\nmap_Kd {name}\n")
    (folder / "x.obj").write_text("mtllib x.mtl\nusemtl a\nv 0 0 0\nv 1 0 0\nv 0 1 1\nvt 0 0\nf 1/1 2/1 3/1\n")
    return folder / "x.obj"


USDA = """#usda 1.0
def Mesh "m" (prepend apiSchemas = ["MaterialBindingAPI"]) {
    int[] faceVertexCounts = [3]
    int[] faceVertexIndices = [0, 1, 2]
    point3f[] points = [(0, 0, 0), (1, 0, 0), (0, 1, 1)]
    texCoord2f[] primvars:st = [(0, 0), (0, 0), (0, 0)] (interpolation = "vertex")
    rel material:binding = </a>
}
def Material "a" {
    token outputs:surface.connect = </a/s.outputs:surface>
    def Shader "s" {
        uniform token info:id = "UsdPreviewSurface"
        color3f inputs:diffuseColor.connect = </a/t.outputs:rgb>
        token outputs:surface
    }
    def Shader "t" {
        uniform token info:id = "UsdUVTexture"
        asset inputs:file = @NAME@
        float3 outputs:rgb
    }
}
"""


def usda(folder: Path, name: str) -> Path:
    """The same as USD in text."""
    (folder / "x.usda").write_text(USDA.replace("NAME", name))
    return folder / "x.usda"


BLEND = """
import os
import sys
import bpy
picture, folder, placeholder = sys.argv[1:]
bpy.ops.wm.read_factory_settings(use_empty=True)
mesh = bpy.data.meshes.new("m")
mesh.from_pydata([(0, 0, 0), (1, 0, 0), (0, 1, 1)], [], [(0, 1, 2)])
mesh.uv_layers.new()
material = bpy.data.materials.new("a")
material.use_nodes = True
tree = material.node_tree
texture = tree.nodes.new("ShaderNodeTexImage")
texture.image = bpy.data.images.load(picture)
tree.links.new(texture.outputs["Color"], tree.nodes["Principled BSDF"].inputs["Base Color"])
mesh.materials.append(material)
bpy.context.scene.collection.objects.link(bpy.data.objects.new("m", mesh))
texture.image.filepath_raw = placeholder
bpy.ops.wm.save_as_mainfile(filepath=f"{folder}/naming.blend", relative_remap=False, compress=False)
texture.image.filepath_raw = picture
bpy.ops.wm.usd_export(filepath=f"{folder}/holding.usdz")
bpy.ops.export_scene.fbx(filepath=f"{folder}/holding.fbx", path_mode="COPY", embed_textures=True)
texture.image.pack()
bpy.ops.wm.save_as_mainfile(filepath=f"{folder}/holding.blend")
os._exit(0)  # Blender that wrote a file may not end by itself
"""
PLACEHOLDER = "//" + "x" * 200


@pytest.fixture(scope="module")
def blends(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a Blender file `naming` the picture at PLACEHOLDER, and as one of each kind `holding` it."""
    folder = tmp_path_factory.mktemp("blends")
    Image.new("RGB", (4, 4), ORANGE).save(folder / "picture.png")
    run_in_blender(BLEND, str(folder / "picture.png"), str(folder), PLACEHOLDER, scratch=folder)
    return folder


def written(kind: str, folder: Path, name: str, blends: Path) -> Path:
    """The triangle in a format, with the picture of that name."""
    if kind != "blend":
        return {"gltf": gltf, "obj": obj, "usda": usda}[kind](folder, name)
    data, named = (blends / "naming.blend").read_bytes(), (name if name.startswith("/") else f"//{name}").encode()
    assert data.count(PLACEHOLDER.encode()) == 1
    (folder / "x.blend").write_bytes(data.replace(PLACEHOLDER.encode(), named.ljust(len(PLACEHOLDER), b"\0")))
    return folder / "x.blend"


@pytest.mark.parametrize("kind", ["fbx", "usdz", "blend"])
def test_a_picture_inside_the_model_shows(kind: str, blends: Path, settings, blender, tmp_path) -> None:
    result = render_views(blender, blends / f"holding.{kind}", "x", settings(**FLAT, checks={"bad": []}), 0, tmp_path)
    assert result.reason == ""
    assert result.outcome == Outcome.OK
    assert result.warnings == []
    assert shows_the_picture(tmp_path)


def shows_the_picture(folder: Path) -> bool:
    """Whether any view shows something of its colour, however lit."""
    views = np.stack([np.array(Image.open(path)).astype(int) for path in sorted(folder.glob("*.webp"))])
    red, green, blue, alpha = np.moveaxis(views, -1, 0)
    return bool(((red > green + 60) & (green > blue + 30) & (alpha > 200)).any())


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """A server that has its connections wait; closing it at the end, it finds that there were none."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server
        server.settimeout(0.0)
        with pytest.raises(BlockingIOError):
            server.accept()


WAYS = ("above", "absolute", "quoted", "link", "address")
CASES = [*product(("gltf", "obj", "usda", "blend"), WAYS), ("gltf", "beside"), ("obj", "beside"), ("usda", "beside"),
         ("blend", "beside")]  # fmt: skip


@pytest.mark.parametrize(("kind", "way"), CASES)
def test_child_reads_only_files_beside_the_model(
    kind: str, way: str, blends: Path, listening: socket.socket, settings, blender, tmp_path
) -> None:
    (tmp_path / "in").mkdir()
    for path in (tmp_path / "secret.png", tmp_path / "in" / "picture.png"):
        Image.new("RGB", (4, 4), ORANGE).save(path)
    (tmp_path / "in" / "link.png").symlink_to(tmp_path / "secret.png")
    names = {
        "beside": "picture.png",
        "above": "../secret.png",
        "absolute": str(tmp_path / "secret.png"),
        "quoted": "%2e%2e/secret.png",
        "link": "link.png",
        "address": f"http://127.0.0.1:{listening.getsockname()[1]}/picture.png",
    }
    model = written(kind, tmp_path / "in", names[way], blends)
    result = render_views(blender, model, "escape", settings(**FLAT, checks={"bad": []}), 0, tmp_path / "out")
    if result.outcome is not Outcome.OK:
        assert way != "beside", result.reason
        assert result.outcome in (Outcome.UNSUPPORTED, Outcome.CORRUPT, Outcome.MISSING_PICTURES)
        told = ("beside the model", "folder", "every picture that the model shows")
        assert any(words in result.reason for words in told), result.reason
        return
    assert shows_the_picture(tmp_path / "out") == (way == "beside")
    assert bool(result.warnings) == (way != "beside")
