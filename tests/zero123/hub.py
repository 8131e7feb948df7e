"""A server on loopback in the layout of the Hugging Face Hub, whose repositories are folders."""

import hashlib
import json
import re
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

COMMIT = "c" * 40


class Handler(BaseHTTPRequestHandler):
    """Serves root/<owner>/<name> as models."""

    protocol_version = "HTTP/1.1"
    root: Path
    asked: list[str]
    cut_at: dict[str, int]

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def answer(self, *, with_body: bool) -> None:
        path = self.path.partition("?")[0]
        if found := re.fullmatch(r"/api/models/([\w.-]+/[\w.-]+)(?:/revision/\w+)?", path):
            self.send_json(found[1], lambda folder: {
                "id": found[1], "sha": COMMIT, "siblings": [{"rfilename": name} for name in files(folder)],
            })  # fmt: skip
        elif found := re.fullmatch(r"/api/models/([\w.-]+/[\w.-]+)/tree/\w+", path):
            self.send_json(found[1], lambda folder: [
                {"type": "file", "path": name, "size": (folder / name).stat().st_size, "oid": "0" * 40}
                for name in files(folder)
            ])  # fmt: skip
        elif found := re.fullmatch(r"/([\w.-]+/[\w.-]+)/resolve/\w+/(.*)", path):
            self.send_file(self.root / found[1] / found[2], found[2], with_body=with_body)
        else:
            self.send(404, b"{}", {})

    def send_json(self, repository: str, make: Callable[[Path], Any]) -> None:
        if (self.root / repository).is_dir():
            self.send(200, json.dumps(make(self.root / repository)).encode(), {"Content-Type": "application/json"})
        else:
            self.send(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def send_file(self, file: Path, name: str, *, with_body: bool) -> None:
        if not file.is_file():
            self.send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
            return
        data = file.read_bytes()
        facts = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        first = int(span[1]) if span else 0
        if with_body:
            self.asked.append(f"{name} from {first}" if first else name)
        if span:
            facts["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
        body, whole = data[first:], len(data) - first
        if with_body and name in self.cut_at:
            body = body[: self.cut_at.pop(name)]
            self.close_connection = True
        self.send(206 if span else 200, body if with_body else b"", facts, whole)

    def send(self, status: int, body: bytes, facts: dict[str, str], length: int | None = None) -> None:
        self.send_response(status)
        for name, value in facts.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        return


def hub_handler(root: Path, asked: list[str], cut_at: dict[str, int]) -> type[BaseHTTPRequestHandler]:
    """Note the files asked for in `asked`, with where they begin, and cut each of `cut_at` once after so many bytes."""
    return type("Served", (Handler,), {"root": root, "asked": asked, "cut_at": cut_at})


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
