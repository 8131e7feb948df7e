"""Run the server until it is stopped."""

import os
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass

from base.errors import Failure, UsageError
from base.storage import reason
from web.guard import LOOPBACK, Access
from web.stopping import OpenRequests

TOKEN_VARIABLE = "ZERO123_TOKEN"  # noqa: S105 -- the name alone
"""The environment variable with the token, as secrets are no flags."""
PATIENCE_S, SHUTDOWN_S = 1.0, 5
"""Seconds for open requests to end by themselves, and for their connections to close after they were ended."""


@dataclass(frozen=True)
class Address:
    """Where to listen, and who may come in from elsewhere: those with the `token`, or anybody (`public`)."""

    host: str
    port: int
    token: bool
    public: bool

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return self.host in LOOPBACK

    def access(self) -> Access:
        """Return who may use the server. Raises UsageError for an open host without a decision."""
        if self.token and self.public:
            raise UsageError("expected --token or --public, got both")
        if not (self.is_loopback or self.token or self.public):
            raise UsageError(
                f"--host {self.host}: expected --token as well, for those who know it, or --public, for anybody; got "
                "neither"
            )
        token = (os.environ.get(TOKEN_VARIABLE) or secrets.token_urlsafe(24)) if self.token else None
        # Only loopback has known names; a server open to a network may be called anything.
        return Access(LOOPBACK if self.is_loopback else (), token)


def listen(address: Address) -> socket.socket:
    """Open the server's socket; port 0 takes a free one. Raises UsageError when the address cannot be had."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    # Otherwise a server started again waits for the old connections to time out.
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((address.host, address.port))
        opened.listen()  # whoever reads the link may come at once, and waits until the server is up
    except OSError as error:
        opened.close()
        raise UsageError(
            f"--host {address.host} --port {address.port}: expected a free address here, got: {reason(error)}"
        ) from None
    except OverflowError:
        opened.close()
        raise UsageError(f"--port: expected 0 to 65535, got {address.port}") from None
    return opened


def link_of(opened: socket.socket, access: Access) -> str:
    """Return the link to the page; the token is behind the #, which is never sent to a server or logged."""
    host, port = opened.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/" + (f"#token={access.token}" if access.token else "")


def run_until_stopped(app: object, opened: socket.socket, requests: OpenRequests, say: Callable[[str], None]) -> None:
    """Answer requests until SIGINT or SIGTERM, then end those that are open, and `say` how many.

    Raises Failure when the server cannot start.
    """
    import uvicorn

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            if ended := await requests.stop(PATIENCE_S):
                say(f"ended {ended} open request{'s' * (ended > 1)}; clients get 503 and may ask again")
            await super().shutdown(sockets)

    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        log_level="warning",
        access_log=False,  # addresses of people, and names of their photos
        server_header=False,
        # Headers could claim any address, and limits count by address.
        proxy_headers=False,
        timeout_graceful_shutdown=SHUTDOWN_S,
        # Requests that wait for a job's next step hold a connection each.
        limit_concurrency=512,
    )
    server = Server(config)
    server.run(sockets=[opened])
    if not server.started:
        raise Failure("expected the server to start, but it did not; see above")
