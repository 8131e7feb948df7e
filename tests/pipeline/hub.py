"""A real HTTP server on loopback that lays out files as the hub does, and misbehaves on request."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from tests.serving import serving

Trouble = Callable[[BaseHTTPRequestHandler, bytes], None]
"""What answers in place of a file's bytes."""


@dataclass
class Hub:
    """What the server holds: `files` by path; `trouble` answers in their place the first so many times."""

    files: dict[str, bytes] = field(default_factory=dict)
    trouble: dict[str, list[Trouble]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    tokens: dict[str, str | None] = field(default_factory=dict)
    address: str = ""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path
        self.asked[path] += 1
        self.tokens[path] = request.headers.get("Authorization")
        if self.trouble.get(path):
            self.trouble[path].pop(0)(request, self.files.get(path, b""))
        elif path in self.files:
            send(request, 200, self.files[path])
        else:
            send(request, 404, b"not here")


def send(request: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    request.send_response(status)
    request.send_header("Content-Length", headers.pop("length", str(len(body))))
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(body)


def status(code: int, **headers: str) -> Trouble:
    return lambda request, _body: send(request, code, b"", **headers)


def short(request: BaseHTTPRequestHandler, body: bytes) -> None:
    """Half of the body under the full length, then the end."""
    send(request, 200, body[: len(body) // 2], length=str(len(body)))
    request.close_connection = True


def stalled(request: BaseHTTPRequestHandler, body: bytes) -> None:
    """The beginning of the body, then silence."""
    send(request, 200, body[:8], length=str(len(body)))
    time.sleep(1.5)
    request.close_connection = True


def dripping(request: BaseHTTPRequestHandler, _body: bytes) -> None:
    """A header that never ends, byte by byte: no single wait is long."""
    try:
        request.wfile.write(b"HTTP/1.0 200 OK\r\nX-Long: ")
        while True:
            request.wfile.write(b"x")
            time.sleep(0.05)
    except OSError:
        request.close_connection = True


def endless(request: BaseHTTPRequestHandler, _body: bytes) -> None:
    """More and more bytes, without saying how many."""
    request.send_response(200)
    request.end_headers()
    try:
        while True:
            request.wfile.write(bytes(1 << 16))
    except OSError:
        request.close_connection = True


@contextmanager
def hub() -> Iterator[Hub]:
    state = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.answer(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            return

    with serving(Handler) as state.address:
        yield state
