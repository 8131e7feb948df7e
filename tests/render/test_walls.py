"""What stands between the child and the files and network of others."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from base.outcomes import Outcome
from render.blender import landlock
from render.child import RenderChild
from render.run import render_object
from tests.render.conftest import FLAT, ROOT

INTRUDER = """
import json, os, socket, sys
from pathlib import Path
from render.blender import cage
secret, port, device = sys.argv[1:]
walls = cage.enter(os.getppid(), device)
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
        assert child.walls == ""
        child._ready()
        assert child.walls == ", ".join(f"{name} {wall}" for name, wall in sorted(tries["walls"].items()))


MAGENTA = (255, 0, 255)


def gltf(folder: Path, uri: str) -> Path:
    """A triangle with a picture from elsewhere."""
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
    (folder / "x.mtl").write_text(f"newmtl a\nmap_Kd {name}\n")
    (folder / "x.obj").write_text("mtllib x.mtl\nusemtl a\nv 0 0 0\nv 1 0 0\nv 0 1 1\nvt 0 0\nf 1/1 2/1 3/1\n")
    return folder / "x.obj"


def usda(folder: Path, name: str) -> Path:
    triangle = """def Mesh "m" {
    int[] faceVertexCounts = [3]
    int[] faceVertexIndices = [0, 1, 2]
    point3f[] points = [(0, 0, 0), (1, 0, 0), (0, 1, 1)]
}"""
    (folder / "x.usda").write_text(f'#usda 1.0\n{triangle}\ndef "secret" (references = @{name}@) {{}}\n')
    return folder / "x.usda"


@pytest.mark.parametrize("way", ["above", "absolute", "quoted", "link"])
@pytest.mark.parametrize("write", [gltf, obj, usda])
def test_no_model_shows_what_lies_outside_its_folder(
    write: Callable[[Path, str], Path], way: str, settings, blender, tmp_path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    Image.new("RGB", (4, 4), MAGENTA).save(tmp_path / "secret.png")
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    names = {"above": "../secret.png", "absolute": str(tmp_path / "secret.png"), "quoted": "%2e%2e/secret.png"}
    model = write(folder, names.get(way, "link.png"))
    result = render_object(blender, model, "escape", settings(**FLAT, checks={"bad": []}), 0, tmp_path / "out")
    if result.outcome is not Outcome.OK:
        assert result.outcome in (Outcome.UNSUPPORTED, Outcome.CORRUPT)
        assert "beside the model" in result.reason or "folder" in result.reason, result.reason
        return
    for picture in sorted((tmp_path / "out").glob("*.webp")):
        rgba = np.array(Image.open(picture))
        assert not ((rgba[..., :3] == MAGENTA).all(axis=-1) & (rgba[..., 3] > 0)).any()
