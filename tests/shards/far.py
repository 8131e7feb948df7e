"""A folder behind a real HTTP server on loopback, which answers ranges, counts them, and can be away for a while."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from tests.serving import serving

ENDS_WITHIN_S = 120.0
"""How long the request at hand may take on a busy machine; a store that is away would be waited for longer."""


@dataclass
class Far:
    """The server: `away` is a status to answer everything with, "gone" to hang up, "silent" to say nothing; 0 for none.

    `ranges` and `lists` say whether it knows ranges and lists folders. `refused` counts what was asked while away.
    """

    folder: Path
    address: str = ""
    away: int | str = 0
    ranges: bool = True
    lists: bool = False
    refused: int = 0
    asked: list[tuple[str, str]] = field(default_factory=list)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        span = request.headers.get("Range", "")
        self.asked.append((request.path, span))
        path = self.folder / request.path.lstrip("/")
        self.refused += bool(self.away)
        if self.away in ("gone", "silent"):
            while self.away == "silent":
                time.sleep(0.05)
            request.close_connection = True
            return
        if not self.away and self.lists and path.is_dir():
            links = "".join(f'<a href="{one.name}{"/" * one.is_dir()}">' for one in path.iterdir())
            self._send(request, 200, links.encode())
            return
        if self.away or not path.is_file():
            self._send(request, int(self.away or 404), b"")
            return
        data = path.read_bytes()
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", span) if self.ranges else None
        if found and int(found[1]) >= len(data):
            self._send(request, 416, b"")
        elif found:
            self._send(request, 206, data[int(found[1]) : int(found[2]) + 1])
        else:
            self._send(request, 200, data)

    @staticmethod
    def _send(request: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
        request.send_response(status)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body)

    def shard_requests(self) -> list[tuple[str, str]]:
        return [(path, span) for path, span in self.asked if "/shards/" in path]


def join_fetch_threads() -> None:
    """Wait for the requests of closed streams. They end by themselves; a later request would count for another read."""
    for thread in [thread for thread in threading.enumerate() if thread.name.startswith("fetch-")]:
        thread.join(ENDS_WITHIN_S)
        assert not thread.is_alive(), thread.name


@contextmanager
def served(folder: Path) -> Iterator[Far]:
    far = Far(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            far.answer(self)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            return

    with serving(Handler) as far.address:
        try:
            yield far
        finally:
            far.away = 0
