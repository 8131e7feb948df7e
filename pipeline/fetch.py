"""Fetching one file over HTTP without trusting the other side: whole and checked, or not there at all."""

import hashlib
import http.client
import os
import secrets
import struct
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from base.outcomes import Outcome
from base.seeds import stable_rng
from base.storage import TEMPORARY_PREFIX
from pipeline.limiter import RETRY_AFTER_CAP_S, Gate, bucket_key
from pipeline.settings import FetchSettings

CHUNK_BYTES = 1 << 18
GLTF_HEADER = struct.Struct("<4sII")
STATUS = {
    401: Outcome.FORBIDDEN,
    403: Outcome.FORBIDDEN,
    404: Outcome.MISSING,
    410: Outcome.MISSING,
    429: Outcome.THROTTLED,
}
TRANSIENT = (TimeoutError, ConnectionError, http.client.HTTPException, urllib.error.URLError)


class FetchError(Exception):
    """A file could not be had: how that ends for its object, and why in a sentence."""

    def __init__(
        self, outcome: Outcome, reason: str, *, retry_after_s: float | None = None, final: bool = True
    ) -> None:
        super().__init__(reason)
        self.outcome, self.reason, self.retry_after_s, self.final = outcome, reason, retry_after_s, final


@dataclass(frozen=True)
class Fetched:
    """A file that is there, whole: its SHA-256 and its length."""

    path: Path
    sha256: str
    bytes: int


def fetch(url: str, target: Path, settings: FetchSettings, gate: Gate, *, token: str = "", sha256: str = "") -> Fetched:
    """Fetch `url` into `target`, replacing it only by a whole file. Raises FetchError.

    Tries again, with growing pauses, what may pass: time-outs, broken connections, 429 (obeying Retry-After) and 5xx.
    Every request passes the `gate`; a turn that comes after the deadline is `throttled`. `token` goes to the host of
    `url` alone. A `.glb` must open with a glTF header of its own length; with `sha256` given the bytes must match.
    """
    deadline = time.monotonic() + settings.deadline_s
    key = bucket_key(url, token, shared_address=settings.shared_address)
    for attempt in range(settings.tries):
        try:
            _wait_for_turn(url, gate.take(key), deadline)
            return _try_once(url, target, settings, deadline, token=token, sha256=sha256)
        except FetchError as error:
            pause_s = _pause_s(url, attempt, settings.backoff_s, error.retry_after_s)
            if error.outcome is Outcome.THROTTLED and not error.final:
                gate.close(key, pause_s)
            if error.final or attempt + 1 == settings.tries or time.monotonic() + pause_s > deadline:
                raise
            time.sleep(pause_s)
    raise AssertionError("settings.tries is at least 1")


def _wait_for_turn(url: str, wait_s: float, deadline: float) -> None:
    if time.monotonic() + wait_s > deadline:
        sentence = f"{url}: expected a turn before the deadline, got one in {wait_s:.0f} s"
        raise FetchError(Outcome.THROTTLED, sentence)
    time.sleep(wait_s)


def _pause_s(url: str, attempt: int, backoff_s: float, retry_after_s: float | None) -> float:
    jitter = 0.5 + float(stable_rng(os.getpid(), "backoff", url, attempt).random())
    return max(backoff_s * 2.0**attempt * jitter, min(retry_after_s or 0.0, RETRY_AFTER_CAP_S))


def _try_once(url: str, target: Path, settings: FetchSettings, deadline: float, *, token: str, sha256: str) -> Fetched:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{TEMPORARY_PREFIX}{target.name}-{secrets.token_hex(6)}")
    try:
        with _opened(url, token, settings.timeout_s) as response, temporary.open("xb") as stream:
            fetched = _copy(response, stream, url, settings.max_bytes, deadline)
            os.fsync(stream.fileno())
        if target.suffix.lower() == ".glb":
            check_glb(temporary, url)
        if sha256 and fetched.sha256 != sha256:
            raise FetchError(Outcome.MODIFIED, f"{url}: expected sha256 {sha256}, got {fetched.sha256}")
        temporary.replace(target)
        return Fetched(target, fetched.sha256, fetched.bytes)
    finally:
        temporary.unlink(missing_ok=True)


def _opened(url: str, token: str, timeout_s: float) -> Any:
    if urlsplit(url).scheme not in ("http", "https"):
        raise FetchError(Outcome.UNSUPPORTED, f"{url}: expected an http or https address")
    request = urllib.request.Request(url, headers={"User-Agent": "zero123-factory"})  # noqa: S310 -- checked above
    if token:
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    opener = urllib.request.build_opener(_SameHostToken)
    try:
        return opener.open(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        with error:
            outcome = STATUS.get(error.code, Outcome.MISSING if error.code < 500 else Outcome.LOST)
            raise FetchError(
                outcome,
                f"{url}: the server answered {error.code} {error.reason}",
                retry_after_s=_seconds(error.headers),
                final=outcome not in (Outcome.THROTTLED, Outcome.LOST),
            ) from None
    except TRANSIENT as error:
        raise FetchError(Outcome.LOST, f"{url}: {_words(error)}", final=False) from None


class _SameHostToken(urllib.request.HTTPRedirectHandler):
    """Follows redirects over http and https; carries the token along on its own host only, never down to plain http."""

    def redirect_request(self, req: Any, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str) -> Any:
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        token = req.unredirected_hdrs.get("Authorization")
        before, after = urlsplit(req.full_url), urlsplit(newurl)
        same_place = (before.scheme, before.netloc) == (after.scheme, after.netloc)
        if new is not None and token and same_place:
            new.add_unredirected_header("Authorization", token)
        return new


def _copy(response: Any, stream: IO[bytes], url: str, max_bytes: int, deadline: float) -> Fetched:
    expected = response.headers.get("Content-Length", "")
    if expected.isdecimal() and int(expected) > max_bytes:
        raise FetchError(Outcome.TOO_LARGE, f"{url}: expected at most {max_bytes} bytes, got {expected}")
    digest, length = hashlib.sha256(), 0
    try:
        while chunk := response.read1(CHUNK_BYTES):
            length += len(chunk)
            if length > max_bytes:
                raise FetchError(Outcome.TOO_LARGE, f"{url}: expected at most {max_bytes} bytes, got more")
            if time.monotonic() > deadline:
                raise FetchError(Outcome.LOST, f"{url}: not finished within its deadline")
            digest.update(chunk)
            stream.write(chunk)
    except TRANSIENT as error:
        raise FetchError(Outcome.LOST, f"{url}: {_words(error)}", final=False) from None
    if expected.isdecimal() and length != int(expected):
        raise FetchError(Outcome.CORRUPT, f"{url}: expected {expected} bytes, got {length}", final=False)
    stream.flush()
    return Fetched(Path(), digest.hexdigest(), length)


def check_glb(path: Path, name: str) -> None:
    """Raise FetchError unless `path` opens with a glTF 2 header that states the file's own length."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        header = stream.read(GLTF_HEADER.size)
    magic, version, length = GLTF_HEADER.unpack(header.ljust(GLTF_HEADER.size, b"\0"))
    if magic != b"glTF" or version != 2 or length != size:
        got = f"{header[:12]!r}" if magic != b"glTF" else f"version {version} and a length of {length}"
        raise FetchError(Outcome.CORRUPT, f"{name}: expected binary glTF 2 of {size} bytes, got {got}")


def _seconds(headers: Any) -> float | None:
    value = headers.get("Retry-After", "")
    return float(value) if value.isdecimal() else None


def _words(error: BaseException) -> str:
    inner = getattr(error, "reason", error)
    return "no answer in time" if isinstance(inner, TimeoutError) else f"{type(inner).__name__}: {inner}"
