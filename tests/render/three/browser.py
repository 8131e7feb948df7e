"""Models rendered by three.js in a headless Chromium that reaches this machine's loopback alone."""

import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from tests.serving import serving

HERE = Path(__file__).parent
THREE = HERE / "node_modules" / "three"
TYPES = {".html": "text/html", ".js": "text/javascript", ".json": "application/json", ".wasm": "application/wasm"}
PATIENCE_S = 240.0
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--disable-dev-shm-usage", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-default-apps", "--disable-extensions",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip

Pictures = dict[str, list[NDArray[np.uint8]]]
"""By model: each view as straight RGBA (H, W, 4) in sRGB."""


class Answers:
    """What the page posts: `pictures`, and `failures` by model; `ended` is set after the last."""

    def __init__(self) -> None:
        self.pictures: dict[tuple[str, int], NDArray[np.float32]] = {}
        self.failures: dict[str, str] = {}
        self.ended = threading.Event()

    def take(self, path: str, body: bytes) -> None:
        """Keep one answer that was posted to `path`."""
        kind, *names = path.strip("/").split("/")
        if kind == "picture":
            self.pictures[names[0], int(names[1])] = np.frombuffer(body, "<f4")
        elif kind == "failure":
            self.failures[names[0]] = body.decode()
        else:
            self.ended.set()


def render_by_three(job: dict[str, Any], folder: Path, profile: Path) -> tuple[Pictures, dict[str, str]]:
    """The pictures of every model of `job` below `folder`, and by model what three.js said where it failed.

    `profile` is an empty folder for the browser.
    """
    answers = Answers()
    with serving(_handler(job, folder, answers)) as address, _chromium(f"{address}/page.html", profile):
        assert answers.ended.wait(PATIENCE_S), f"expected an end of the page, got {sorted(answers.pictures)[-1:]}"
    assert "page" not in answers.failures, answers.failures["page"]
    pictures: Pictures = {}
    for (name, _), floats in sorted(answers.pictures.items()):
        pictures.setdefault(name, []).append(_straight_srgb(floats.reshape(job["size"], job["size"], 4)[::-1]))
    return pictures, answers.failures


def _straight_srgb(floats: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A picture of Standard view transform from premultiplied linear light (H, W, 4)."""
    alpha = floats[..., 3:].clip(0.0, 1.0)
    linear = np.divide(floats[..., :3], alpha, out=np.zeros_like(floats[..., :3]), where=alpha > 0.0).clip(0.0, 1.0)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(np.concatenate([encoded, alpha], axis=-1) * 255.0 + 0.5).astype(np.uint8)


@contextmanager
def _chromium(address: str, profile: Path) -> Iterator[None]:
    program = shutil.which("chromium")
    assert program, "expected Debian's package chromium, got nothing"
    assert THREE.is_dir(), f"expected three.js, got nothing: npm ci --prefix {HERE}"
    command = [program, *FLAGS, f"--user-data-dir={profile}", address]
    # It leaves files in the home and temporary folders that it is told of.
    folders = dict.fromkeys(("HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"), str(profile))
    with (profile / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, env=os.environ | folders)
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _handler(job: dict[str, Any], folder: Path, answers: Answers) -> type[BaseHTTPRequestHandler]:
    roots = {"three": THREE, "models": folder}

    class Handler(BaseHTTPRequestHandler):
        def handle(self) -> None:
            with suppress(ConnectionError):  # the browser is killed with connections open
                super().handle()

        def do_GET(self) -> None:
            path = unquote(self.path.partition("?")[0]).strip("/")
            room, _, rest = path.partition("/")
            file = roots[room] / rest if room in roots else HERE / path
            if path == "job.json":
                self._send(200, json.dumps(job).encode(), ".json")
            elif file.is_file():
                self._send(200, file.read_bytes(), file.suffix)
            else:
                self._send(404, b"", "")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answers.take(self.path, body)
            self._send(204, b"", "")

        def _send(self, status: int, body: bytes, suffix: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", TYPES.get(suffix, "application/octet-stream"))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
