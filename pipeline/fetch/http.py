"""A single answer of an untrusted HTTP server: in time and from an allowed address, or refused in plain words."""

import http.client
import re
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import IO, Any
from urllib.parse import quote, urlsplit

from base.outcomes import Outcome
from pipeline.fetch.addresses import has_user, public_address

STATUS = {
    401: Outcome.FORBIDDEN,
    402: Outcome.FORBIDDEN,
    403: Outcome.FORBIDDEN,
    404: Outcome.MISSING,
    407: Outcome.FORBIDDEN,
    408: Outcome.LOST,
    410: Outcome.MISSING,
    425: Outcome.LOST,
    429: Outcome.THROTTLED,
    451: Outcome.FORBIDDEN,
}
NO_ANSWER = (OSError, http.client.HTTPException)
"""Errors of the network: those of `urllib`, time-outs and TLS are all kinds of OSError."""
REDIRECT = "expected a redirect over http or https, without a user's name or password"
UNASKABLE = "expected an address that can be asked"
USED_UP = re.compile(r"\br\s*=\s*0\s*;\s*t\s*=\s*(\d+)")
PLAIN = "!#$%&'()*+,/:;=?@[]~"
USUAL = re.compile(r"https?://[A-Za-z0-9][A-Za-z0-9.-]*/[A-Za-z0-9_.~!#$%&'()*+,/:;=?@-]*")
"""Addresses that need no closer look: nearly all of a million."""


class FetchError(Exception):
    """A file could not be fetched: the outcome of its object, and the reason in a sentence."""

    def __init__(
        self, outcome: Outcome, reason: str, *, retry_after_s: float | None = None, final: bool = True
    ) -> None:
        super().__init__(reason)
        self.outcome, self.reason, self.retry_after_s, self.final = outcome, reason, retry_after_s, final

    @classmethod
    def at(
        cls, url: str, outcome: Outcome, words: str, *, retry_after_s: float | None = None, final: bool = True
    ) -> "FetchError":
        """Make the error of an address. Its sentence names the address without credentials."""
        return cls(outcome, f"{public_address(url)}: {words}", retry_after_s=retry_after_s, final=final)


def quote_url(url: str) -> str:
    """Return `url` with unsafe characters quoted.

    Raises FetchError for schemes other than http and https, and for user information, which requests would not carry.
    """
    if USUAL.fullmatch(url):
        return url
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable:
        raise FetchError.at(url, Outcome.UNSUPPORTED, "expected an http or https address")
    if has_user(url):
        raise FetchError.at(url, Outcome.UNSUPPORTED, "expected an address without a user's name or password")
    # `%` is among the safe characters: addresses in tables are mostly quoted already.
    return quote(url, safe=PLAIN)


@contextmanager
def open_answer(url: str, token: str, timeout_s: float, deadline: float) -> Iterator[Any]:
    """Open the answer to a GET of a checked `url`, to be read. Raises FetchError without an answer.

    At `deadline`, in seconds of `time.monotonic`, its connections are shut, however busy the server keeps them.
    """
    watch = _Watch()
    # Time-outs of sockets hold for each read, so a slow handshake or headers without end would never meet them.
    timer = threading.Timer(max(0.0, deadline - time.monotonic()), watch.shut)
    # A pending timer must not keep the process from ending.
    timer.daemon = True
    timer.start()
    try:
        with _open(url, token, timeout_s, watch, deadline) as response:
            yield response
    finally:
        timer.cancel()


def as_fetch_error(url: str, error: BaseException, deadline: float) -> FetchError:
    """Return the FetchError for an error of the network."""
    # urllib wraps the error of the socket.
    inner = getattr(error, "reason", error)
    if time.monotonic() >= deadline:
        return FetchError.at(url, Outcome.LOST, "not finished within its deadline", final=False)
    words = "no answer in time" if isinstance(inner, TimeoutError) else f"{type(inner).__name__}: {inner}"
    return FetchError.at(url, Outcome.LOST, words, final=False)


def _open(url: str, token: str, timeout_s: float, watch: "_Watch", deadline: float) -> Any:
    request = urllib.request.Request(url, headers={"User-Agent": "zero123-factory"})  # noqa: S310 -- checked before
    if token:
        # Unredirected: urllib would send an ordinary header to the target of any redirect.
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    # These replace urllib's own handlers of the same kinds.
    opener = urllib.request.build_opener(_SameHostToken, _Http(watch), _Https(watch))
    try:
        return opener.open(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        with error:
            raise _refusal(url, error) from None
    except http.client.InvalidURL:  # its words may hold what lets in, as may those of a ValueError
        raise FetchError.at(url, Outcome.UNSUPPORTED, UNASKABLE) from None
    except NO_ANSWER as error:
        raise as_fetch_error(url, error, deadline) from None
    except ValueError:  # a host name that no name can be
        raise FetchError.at(url, Outcome.UNSUPPORTED, UNASKABLE) from None


def _refusal(url: str, error: urllib.error.HTTPError) -> FetchError:
    if 300 <= error.code < 400:  # urllib's words name the address, with what lets in
        return FetchError.at(url, Outcome.UNSUPPORTED, f"{REDIRECT}, to an answer, got {error.code}")
    # Errors from 500 on are the server's, and may pass.
    outcome = STATUS.get(error.code, Outcome.MISSING if error.code < 500 else Outcome.LOST)
    return FetchError.at(
        url,
        outcome,
        f"the server answered {error.code} {error.reason}",
        retry_after_s=retry_after_s(error.headers),
        final=outcome not in (Outcome.THROTTLED, Outcome.LOST),
    )


def retry_after_s(headers: Any) -> float | None:
    """Return the pause in seconds that the server asks for; None if it asks for nothing.

    It reads Retry-After in seconds or as a date, else an exhausted RateLimit, as the Hugging Face hub sends it.
    """
    said = headers.get("Retry-After", "").strip()
    if said.isdecimal():
        return float(said)
    with suppress(TypeError, ValueError, OverflowError):
        # A date in the past asks for nothing.
        return max(0.0, parsedate_to_datetime(said).timestamp() - time.time())
    used_up = USED_UP.search(headers.get("RateLimit", ""))
    return float(used_up[1]) if used_up else None


@dataclass
class _Watch:
    """The sockets of a request, including redirects, to be shut together."""

    sockets: list[socket.socket] = field(default_factory=list)
    over: bool = False

    def shut(self) -> None:
        # First, for connections opened after this loop: a redirect may be under way in the other thread.
        self.over = True
        for one in list(self.sockets):
            with suppress(OSError):
                socket.socket.shutdown(one, socket.SHUT_RDWR)  # TLS would want to say goodbye first

    def connection(self, kind: type[http.client.HTTPConnection]) -> Callable[..., http.client.HTTPConnection]:
        """Return a kind of connection with a watched socket."""
        watch = self

        class Watched(kind):  # type: ignore[valid-type, misc]
            def connect(self) -> None:
                super().connect()
                watch.sockets.append(self.sock)
                # The deadline may have come during the handshake, before this socket was in the list.
                if watch.over:
                    watch.shut()

        return Watched


class _Http(urllib.request.HTTPHandler):
    def __init__(self, watch: _Watch) -> None:
        super().__init__()
        self.watch = watch

    def http_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(self.watch.connection(http.client.HTTPConnection), req)  # type: ignore[arg-type]


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, watch: _Watch) -> None:
        super().__init__()
        self.watch = watch

    def https_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(self.watch.connection(http.client.HTTPSConnection), req)  # type: ignore[arg-type]


class _SameHostToken(urllib.request.HTTPRedirectHandler):
    """Follow redirects over http and https. The token stays on its own host, and never goes down to plain http."""

    def redirect_request(self, req: Any, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str) -> Any:
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        token = req.unredirected_hdrs.get("Authorization")
        before, after = urlsplit(req.full_url), urlsplit(newurl)
        if after.scheme not in ("http", "https") or has_user(newurl):
            # urllib leaves the answer open when a redirect is refused here.
            fp.close()
            raise FetchError.at(req.full_url, Outcome.UNSUPPORTED, REDIRECT)
        # Hubs redirect to a store of another company, with a signature in the address instead of the token.
        same_server = (before.scheme, before.netloc) == (after.scheme, after.netloc)
        if new is not None and token and same_server:
            new.add_unredirected_header("Authorization", token)
        return new
