"""A dataset on the Hugging Face Hub: the hub's own client, against a server on loopback that answers as it does."""

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from base.storage import Storage
from shards.stream import stream_pairs
from shards.version import Version, version_name

READER = """
import hashlib
from itertools import islice
from base.storage import Storage
from shards.stream import stream_pairs
from shards.version import read_version

storage = Storage("hf://datasets/owner/name")
pairs = stream_pairs(read_version(storage), storage, split="train", seed=3, position=4, pairs_per_visit=6)
print(hashlib.sha256(b"".join(pair.target_rgba.tobytes() for pair in islice(pairs, 24))).hexdigest())
"""
REPOSITORY = "/api/datasets/owner/name"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def hub(dataset: tuple[Version, Storage]) -> Iterator[tuple[str, list[int]]]:
    """The hub's address, and the lengths of the ranges of shards that it was asked for."""
    version, storage = dataset
    storage.write(version_name(1), version.to_json())
    folder, asked = Path(storage.root), list[int]()

    def entry(path: Path) -> dict[str, Any]:
        kind = {"type": "file", "size": path.stat().st_size} if path.is_file() else {"type": "directory"}
        return {**kind, "path": path.relative_to(folder).as_posix(), "oid": "0" * 40}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == REPOSITORY or path.startswith(f"{REPOSITORY}/revision"):
                self.told({"id": "owner/name", "sha": "0" * 40, "siblings": []})
            elif found := re.fullmatch(rf"{REPOSITORY}/tree/main/?(.*)", path):
                self.told([entry(one) for one in sorted((folder / found[1]).iterdir())])
            elif found := re.fullmatch(r"/datasets/owner/name/resolve/\w+/(.*)", path):
                data = (folder / found[1]).read_bytes()
                if span := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range") or ""):
                    asked.append(int(span[2]) - int(span[1]) + 1)
                    data = data[int(span[1]) : int(span[2]) + 1]
                self.sent(206 if span else 200, data)
            else:
                self.sent(404, b"{}")

        def told(self, value: Any) -> None:
            self.sent(200, json.dumps(value).encode())

        def sent(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_dataset_on_the_hub_streams_the_same_pairs(
    dataset: tuple[Version, Storage], hub: tuple[str, list[int]]
) -> None:
    address, asked = hub
    environment = {**os.environ, "HF_ENDPOINT": address, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1"}
    line = [sys.executable, "-c", READER]
    done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    near = islice(stream_pairs(*dataset, split="train", seed=3, position=4, pairs_per_visit=6), 24)
    expected = hashlib.sha256(b"".join(pair.target_rgba.tobytes() for pair in near)).hexdigest()
    assert done.stdout.strip() == expected
    samples = {entry.bytes for shard in dataset[0].shards for entry in shard.samples}
    assert set(asked) - {Path(dataset[1].root, version_name(1)).stat().st_size} == samples, "ranges of samples alone"
