"""Fetch a file over HTTP from an untrusted server: whole and checked, or not at all."""

import hashlib
import os
import secrets
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from base.outcomes import Outcome
from base.seeds import stable_rng
from base.storage import TEMPORARY_PREFIX
from pipeline.fetch.addresses import public_address
from pipeline.fetch.http import NO_ANSWER, FetchError, as_fetch_error, open_answer, quote_url
from pipeline.fetch.limiter import RETRY_AFTER_CAP_S, Gate, bucket_key
from pipeline.settings import FetchSettings

__all__ = ["FetchError", "Fetched", "check_glb", "fetch"]

CHUNK_BYTES = 1 << 18
GLTF_HEADER = struct.Struct("<4sII")


@dataclass(frozen=True)
class Fetched:
    """A complete file, with its SHA-256 and length."""

    path: Path
    sha256: str
    bytes: int


def fetch(url: str, target: Path, settings: FetchSettings, gate: Gate, *, token: str = "", sha256: str = "") -> Fetched:
    """Fetch `url` into `target`, replacing it only by a whole file. Raises FetchError.

    Retries time-outs, broken connections, 429 and 5xx with growing pauses, and obeys Retry-After. Every request passes
    the `gate`; a turn after the deadline is `throttled`. `token` goes only to the host of `url`. A `.glb` must be as
    long as its glTF header says. With `sha256`, the bytes must match.
    """
    deadline = time.monotonic() + settings.deadline_s
    # Quoted once: bucket, request and retries all use the same spelling.
    address = quote_url(url)
    key = bucket_key(address, token, shared_address=settings.shared_address)
    for attempt in range(settings.tries):
        try:
            _wait_for_turn(address, gate, key, deadline)
            return _try_once(address, target, settings, deadline, token=token, sha256=sha256)
        except FetchError as error:
            pause_s = _pause_s(url, attempt, settings.backoff_s, error.retry_after_s)
            if not error.final and (error.outcome is Outcome.THROTTLED or error.retry_after_s is not None):
                # For every worker with this bucket: the server's limit is not for this request alone.
                gate.close(key, pause_s)
            if error.final or attempt + 1 == settings.tries or time.monotonic() + pause_s > deadline:
                raise
            time.sleep(pause_s)
    raise AssertionError("settings.tries is at least 1")


def _wait_for_turn(url: str, gate: Gate, key: str, deadline: float) -> None:
    """Wait for a turn, and longer if the hub closes the bucket meanwhile."""
    wait_s = gate.take(key)
    while wait_s > 0.0:
        if time.monotonic() + wait_s > deadline:
            words = f"expected a turn before the deadline, got one in {wait_s:.0f} s"
            raise FetchError.at(url, Outcome.THROTTLED, words)
        time.sleep(wait_s)
        wait_s = gate.closed_s(key)


def _pause_s(url: str, attempt: int, backoff_s: float, retry_after_s: float | None) -> float:
    # By process, so that workers refused together do not come back together.
    jitter = 0.5 + float(stable_rng(os.getpid(), "backoff", url, attempt).random())
    return max(backoff_s * 2.0**attempt * jitter, min(retry_after_s or 0.0, RETRY_AFTER_CAP_S))


def _try_once(url: str, target: Path, settings: FetchSettings, deadline: float, *, token: str, sha256: str) -> Fetched:
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, because a rename is atomic only on the same disk.
    temporary = target.with_name(f"{TEMPORARY_PREFIX}{target.name}-{secrets.token_hex(6)}")
    try:
        with open_answer(url, token, settings.timeout_s, deadline) as response, temporary.open("xb") as stream:
            fetched = _copy(response, stream, url, settings.max_bytes, deadline)
            # Before the rename: after a power cut an empty file could have the final name.
            os.fsync(stream.fileno())
        if target.suffix.lower() == ".glb":
            # A server may answer with a page of text and status 200, or cut the file off without an error.
            check_glb(temporary, public_address(url))
        if sha256 and fetched.sha256 != sha256:
            raise FetchError.at(url, Outcome.MODIFIED, f"expected sha256 {sha256}, got {fetched.sha256}")
        temporary.replace(target)
        return Fetched(target, fetched.sha256, fetched.bytes)
    finally:
        temporary.unlink(missing_ok=True)


def _copy(response: Any, stream: IO[bytes], url: str, max_bytes: int, deadline: float) -> Fetched:
    expected = response.headers.get("Content-Length", "")
    if expected.isdecimal() and int(expected) > max_bytes:
        raise FetchError.at(url, Outcome.TOO_LARGE, f"expected at most {max_bytes} bytes, got {expected}")
    # Counted all the same: a server may state no length, or a false one.
    digest, length = hashlib.sha256(), 0
    for chunk in _chunks(response, url, deadline):
        length += len(chunk)
        if length > max_bytes:
            raise FetchError.at(url, Outcome.TOO_LARGE, f"expected at most {max_bytes} bytes, got more")
        digest.update(chunk)
        stream.write(chunk)
    if expected.isdecimal() and length != int(expected):
        # Not final: the connection was cut, and another try may get the rest.
        raise FetchError.at(url, Outcome.CORRUPT, f"expected {expected} bytes, got {length}", final=False)
    stream.flush()
    return Fetched(Path(), digest.hexdigest(), length)


def _chunks(response: Any, url: str, deadline: float) -> Iterator[bytes]:
    """Yield the server's bytes. Only errors of reading count as the network's, not those of the disk."""
    while True:
        try:
            # `read` would wait for a whole chunk and so pass the deadline at a slow server.
            chunk = response.read1(CHUNK_BYTES)
        except NO_ANSWER as error:
            raise as_fetch_error(url, error, deadline) from None
        # A server with a byte a second never runs into the time-out of the socket.
        if time.monotonic() > deadline:
            raise as_fetch_error(url, TimeoutError(), deadline)
        if not chunk:
            return
        yield chunk


def check_glb(path: Path, name: str) -> None:
    """Raise FetchError unless `path` starts with a glTF 2 header and has the stated length, or is glTF as text.

    The renderer ignores bytes after the model.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        header = stream.read(GLTF_HEADER.size)
    magic, version, length = GLTF_HEADER.unpack(header.ljust(GLTF_HEADER.size, b"\0"))
    # Text with the suffix of binary glTF: Blender's importer reads it.
    if header.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return
    if magic != b"glTF" or version != 2 or length > size:
        got = f"{header[:12]!r}" if magic != b"glTF" else f"version {version} and a length of {length}"
        raise FetchError(Outcome.CORRUPT, f"{name}: expected binary glTF 2 of {size} bytes, got {got}")
