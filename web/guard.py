"""What stands before every request: the host's name, where it came from, the token; and the headers of every answer."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "zero123-token"
VIEWER_STYLE = "'sha256-PXtZZkJMMyc18o/DN1ZEFOJ2qEGq95IQbVaJFMOXOb0='"
"""The style element that model-viewer puts into its own tree."""
POLICY = (
    f"default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' {VIEWER_STYLE}; "
    "style-src-attr 'unsafe-inline'; img-src 'self' blob: data:; connect-src 'self' blob: data:; "
    "worker-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing is loaded from another host. The mesh viewer styles its own elements, makes pictures from blobs, and compiles
a decoder to WebAssembly."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
LOOPBACK = ("127.0.0.1", "localhost", "::1")
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True)
class Access:
    """The host names under which the server answers, empty for any, and the token that it demands, if any."""

    hosts: tuple[str, ...]
    token: str | None


class Guard:
    """An ASGI application around another."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, refuse, or pass the request on."""
        # Start and end of the server come as `lifespan` messages, which have no headers.
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                if scope["path"].startswith("/api/"):
                    # Photos are private: no browser or proxy should keep them after they expire.
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        problem = self._problem(scope)
        app = self._app if problem is None else JSONResponse({"error": problem[1]}, problem[0])
        await app(scope, receive, send_with_headers)

    def _problem(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        # Another site's name that leads to this machine would make its pages ours (DNS rebinding).
        if self._access.hosts and urlsplit(f"//{host}").hostname not in self._access.hosts:
            return 421, f"expected one of the names {', '.join(self._access.hosts)}, got another host"
        origin = headers.get("origin")
        # Browsers send the origin with every request that changes something, and a foreign page cannot hide it.
        if scope["method"] not in SAFE_METHODS and origin is not None and urlsplit(origin).netloc != host:
            return 403, "expected a request of this page, got one of another site"
        if scope["path"].startswith("/api/") and not self._may_enter(headers):
            return 401, "expected the server's token, got none or another"
        return None

    def _may_enter(self, headers: Mapping[str, Any]) -> bool:
        if self._access.token is None:
            return True
        scheme, _, bearer = str(headers.get("authorization", "")).partition(" ")
        given = bearer if scheme.lower() == "bearer" else _cookie(str(headers.get("cookie", "")))
        # Takes the same time for any wrong token, so the time tells nothing about the right one.
        return hmac.compare_digest(given.encode(), self._access.token.encode())


def _cookie(header: str) -> str:
    try:
        morsel = SimpleCookie(header).get(COOKIE)
    # A malformed cookie of another program on this host counts as no token.
    except CookieError:
        return ""
    return morsel.value if morsel else ""
