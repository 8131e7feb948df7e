"""A real server of Google Cloud Storage's JSON API (gcp-storage-emulator) on loopback, with the faults asked of it."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import unquote

from gcp_storage_emulator.handlers.buckets import create_bucket
from gcp_storage_emulator.server import RequestHandler
from gcp_storage_emulator.storage import Storage as Held

from tests.pipeline.hub import send
from tests.serving import serving

BUCKET = "factory"


@dataclass
class Store:
    """The server: the next `limit` reads meet `trouble`, a status, "cut" amid the answer or "gone" without one.

    `asked` holds the path and the range of each read.
    """

    address: str = ""
    trouble: int | str = 0
    limit: int = 0
    asked: list[tuple[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def meets(self) -> int | str:
        """What one read meets; 0 for nothing."""
        with self.lock:
            self.limit -= 1
            return self.trouble if self.limit >= 0 else 0

    def be(self, trouble: int | str, limit: int = 1 << 30) -> None:
        """Have so many reads meet a trouble from now on."""
        with self.lock:
            self.trouble, self.limit = trouble, limit

    def spans(self) -> set[str]:
        """The ranges of shards that were asked for."""
        return {span for path, span in self.asked if "/shards/" in path}


@contextmanager
def served() -> Iterator[Store]:
    """A server with an empty bucket."""
    store, held = Store(), Held(use_memory_fs=True)
    create_bucket(BUCKET, held)

    class Handler(RequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            store.asked.append((unquote(self.path), self.headers.get("Range", "")))
            kind = store.meets()
            self.close_connection = bool(kind) or self.close_connection
            if kind == "cut":
                send(self, 206, bytes(100), length="10000")
            elif isinstance(kind, int) and kind:
                send(self, kind, json.dumps({"error": {"code": kind, "message": "not now"}}).encode())
            elif not kind:
                super().do_GET()

    with serving(partial(Handler, held)) as store.address:
        yield store


def variables(address: str, nowhere: Path) -> Mapping[str, str]:
    """What an environment says, so that everyone reaches this server as they would reach Google's."""
    return {"STORAGE_EMULATOR_HOST": address, "NO_GCE_CHECK": "true", "CLOUDSDK_CONFIG": str(nowhere)}
