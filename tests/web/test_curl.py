"""The commands of docs/serving.md, run as they are written, before a real server with the packaged model."""

import io
import json
import re
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.web.conftest import picture_bytes, pixels_of
from tests.web.server import ROOT, Server

pytestmark = pytest.mark.server


def test_the_commands_of_the_page_about_serving(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    single, several = (block for block in re.findall(r"^```sh\n(.*?)^```", page, re.M | re.S) if "curl" in block)
    server, here = Server(tmp_path / "served"), tmp_path / "here"
    here.mkdir()
    (here / "photo.jpg").write_bytes(picture_bytes("JPEG", side=200))
    mask = np.zeros((200, 200), np.uint8)
    mask[60:140, 60:140] = 255
    Image.fromarray(mask).save(here / "mask.png")
    server.start()
    try:
        assert run(single, here, server.port) == []
        lines = run(several, here, server.port)
    finally:
        server.kill()
    assert pixels_of((here / "view.png").read_bytes()).shape == (128, 128, 3)
    assert lines[:2] == ["your mask", "border, threshold 5"]
    assert lines[3] in ("running", "cancelled")
    job = json.loads((here / "job.json").read_text())
    assert [file["kind"] for file in job["files"]] == ["view"] * 4 + ["film"]
    assert pixels_of((here / "first.png").read_bytes()).shape == (128, 128, 3)
    with zipfile.ZipFile(io.BytesIO((here / "results.zip").read_bytes())) as archive:
        assert f"{job['job']}/views.json" in archive.namelist()
    assert "/api/view" in json.loads((here / "openapi.json").read_text())["paths"]


def run(commands: str, folder: Path, port: int) -> list[str]:
    """Run commands before the server of this port; return the lines they print."""
    program = "set -eu\n" + commands.replace("127.0.0.1:7860", f"127.0.0.1:{port}")
    done = subprocess.run(["sh", "-c", program], cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
