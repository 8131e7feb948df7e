"""A real S3 server (moto) on loopback, in its own process, with the faults that are asked of it.

`python -m tests.server.s3` prints its port. A POST to TROUBLE sets what happens to a `share` of all calls from then on
whose method and path fit `paths`, to `limit` of them at most.
"""

import json
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
BUCKET = "factory"
TROUBLE = "/-/trouble"
KINDS = ("503", "500", "late", "cut", "answer lost")
"""What a call may meet: two refusals; an answer after `late_s`, when nobody may wait any more; the connection cut
before anything was done; or cut after it was done, before the answer."""
LONGEST_AWAY_S = 60.0
"""How long a store is away in mid-epoch at the full count of `make soak`."""
REFUSALS = {"503": ("503 Slow Down", "SlowDown"), "500": ("500 Internal Server Error", "InternalError")}

StartResponse = Callable[..., Any]


class Troubled:
    """A WSGI application with troubles, drawn by number of the call and seed."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self.app = app
        self.share, self.late_s, self.slow_s, self.seed, self.limit = 0.0, 0.0, 0.0, 0, 1 << 30
        self.kinds: tuple[str, ...] = KINDS
        self.paths = ""
        self.met: Counter[str] = Counter()
        self.lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == TROUBLE:
            return self._told(environ, start)
        kind = self._drawn(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
        if environ["REQUEST_METHOD"] == "PUT":
            time.sleep(self.slow_s)
        if kind in REFUSALS:
            return _refused(environ, start, *REFUSALS[kind])
        if kind == "cut":
            return _cut(environ)
        if kind == "late":
            time.sleep(self.late_s)
        answer = self.app(environ, start)
        if kind == "answer lost":
            b"".join(answer)
            return _cut(environ)
        return answer

    def _drawn(self, call: str) -> str:
        with self.lock:
            self.met["calls"] += 1
            rng = np.random.default_rng([self.seed, self.met["calls"]])
            if rng.random() >= self.share or self.limit == 0 or not re.search(self.paths, call):
                return ""
            self.limit -= 1
            kind = self.kinds[int(rng.integers(len(self.kinds)))]
            self.met[kind] += 1
            return kind

    def _told(self, environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
        asked = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        with self.lock:
            met, self.met = dict(self.met), Counter()
            vars(self).update(asked)
        start("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(met).encode()]


def _refused(environ: dict[str, Any], start: StartResponse, status: str, code: str) -> Iterable[bytes]:
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>not now</Message></Error>".encode()
    start(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
    return [body]


def _cut(environ: dict[str, Any]) -> Iterable[bytes]:
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    return []


def serve() -> None:
    """Serve until the input ends."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    app = Troubled(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    sys.stdin.read()


@contextmanager
def served() -> Iterator[str]:
    """The address of a server with an empty bucket: deltalake holds this process's interpreter lock while it asks."""
    command = [sys.executable, "-m", "tests.server.s3"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(child.stdout.readline())}"
        finally:
            child.stdin.close()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()


def trouble(address: str, **asked: Any) -> dict[str, int]:
    """Set the troubles of a server from now on, and say how many calls met which since it was last told."""
    request = urllib.request.Request(address + TROUBLE, json.dumps(asked).encode(), method="POST")
    with urllib.request.urlopen(request) as answer:
        return dict(json.load(answer))


def variables(address: str) -> Mapping[str, str]:
    """What an environment says, so that everyone reaches this server as they would reach S3."""
    return {
        **dict.fromkeys(("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"), address),
        **dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "testing"),
        **dict.fromkeys(("AWS_REGION", "AWS_DEFAULT_REGION"), "us-east-1"),
        "AWS_ALLOW_HTTP": "true",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


if __name__ == "__main__":
    serve()
