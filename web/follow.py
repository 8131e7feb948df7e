"""A page on loopback that follows a run in a folder: how far it is, and its newest picture.

The server knows four paths and no file names, so nothing else of the folder can be asked for.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from base.progress import Progress, Task
from web.guard import HEADERS, LOOPBACK

PICTURES = ("turntable.webp", "preview.webp", "views/**/*.png", "prepared.png")
"""What to show, the first that is there; of several files the newest."""
TYPES = {".webp": "image/webp", ".png": "image/png"}
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>zero123 reconstruct</title>
<p id="line">Waiting for the run.</p>
<progress id="bar" max="1" value="0"></progress>
<p><img id="picture" alt="The newest picture of the object">
<script src="follow.js"></script></html>
"""
SCRIPT = """"use strict";
const part = (name) => document.getElementById(name);
let shown = null;
async function look() {
  try {
    const state = await (await fetch("state.json")).json();
    part("line").textContent = `${state.task} ${state.done} of ${state.total} ${state.unit} ${state.note}`;
    part("bar").value = state.total ? state.done / state.total : 0;
    if (state.picture !== shown) { shown = state.picture; part("picture").src = `picture?${shown}`; }
    setTimeout(look, 1000);
  } catch { part("line").textContent = "The run has ended."; }
}
look();
"""


class Follower:
    """A receiver of progress that passes everything on and remembers the state of the latest task."""

    def __init__(self, progress: Progress, folder: Path) -> None:
        self.progress, self.folder = progress, folder
        self._state: dict[str, Any] = {"task": "", "done": 0, "total": 0, "unit": "", "note": ""}

    def task(self, name: str, *, total: float, unit: str, done: float = 0) -> Task:
        """See `base.progress.Progress.task`."""
        self._state = {"task": name, "done": done, "total": total, "unit": unit, "note": ""}
        return _FollowedTask(self.progress.task(name, total=total, unit=unit, done=done), self._state)

    def say(self, line: str) -> None:
        """See `base.progress.Progress.say`."""
        self.progress.say(line)

    def state(self) -> dict[str, Any]:
        """Return the latest task, and a number that changes with the `picture`; null without a picture."""
        file = self.picture()
        return {**self._state, "picture": None if file is None else str(file.stat().st_mtime_ns)}

    def picture(self) -> Path | None:
        """Return the file of the newest picture of the best kind that is there."""
        for pattern in PICTURES:
            # A picture under its temporary name is not finished.
            files = [file for file in self.folder.glob(pattern) if file.is_file() and not file.name.startswith(".")]
            if files:
                return max(files, key=lambda file: file.stat().st_mtime_ns)
        return None


class _FollowedTask:
    def __init__(self, task: Task, state: dict[str, Any]) -> None:
        self.task, self.state = task, state

    def __enter__(self) -> Self:
        self.task.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.task.__exit__(kind, error, trace)

    def advance(self, amount: float = 1, *, note: str = "") -> None:
        self.state["done"] += amount
        self.state["note"] = note
        self.task.advance(amount, note=note)

    def show(self, note: str) -> None:
        self.state["note"] = note
        self.task.show(note)


@contextmanager
def following(progress: Progress, folder: Path) -> Iterator[tuple[Follower, str]]:
    """Serve the page until the block ends; yield the progress to report to, and the page's address."""
    follower = Follower(progress, folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(follower))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield follower, f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(follower: Follower) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host = self.headers.get("Host", "").rsplit(":", 1)[0]
            # A page elsewhere can give its own name the address 127.0.0.1, and must not read this one.
            if host not in LOOPBACK:
                self._answer(
                    HTTPStatus.FORBIDDEN, "text/plain", f"expected a host of {LOOPBACK}, got {host!r}".encode()
                )
                return
            found = _content(follower, self.path.split("?", 1)[0])
            if found is None:
                self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"expected /, /follow.js, /state.json or /picture")
            else:
                self._answer(HTTPStatus.OK, *found)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base's name)
            """Print nothing: the terminal belongs to the progress of the run."""

        def _answer(self, status: HTTPStatus, kind: str, content: bytes) -> None:
            self.send_response(status)
            fixed = {"Content-Type": kind, "Content-Length": str(len(content)), "Cache-Control": "no-store"}
            for name, value in {**HEADERS, **fixed}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

    return Handler


def _content(follower: Follower, path: str) -> tuple[str, bytes] | None:
    """Return type and bytes of a path; None for an unknown path, or for a picture that is not there yet."""
    if path == "/":
        return "text/html; charset=utf-8", PAGE.encode()
    if path == "/follow.js":
        return "text/javascript; charset=utf-8", SCRIPT.encode()
    if path == "/state.json":
        return "application/json", json.dumps(follower.state()).encode()
    picture = follower.picture() if path == "/picture" else None
    return None if picture is None else (TYPES[picture.suffix], picture.read_bytes())
