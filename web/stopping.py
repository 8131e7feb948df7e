"""Requests that are open while the server stops: they may end by themselves for a moment, and are then ended."""

import asyncio

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SENTENCE = "the server is being stopped; ask again when it is back"
RETRY_S = 5


class OpenRequests:
    """The requests that are being answered."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_stopping = False

    def around(self, app: ASGIApp) -> ASGIApp:
        """Return an application that answers as `app` does, and 503 for what `stop` ends."""

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                await self._answer(app, scope, receive, send)
            else:
                await app(scope, receive, send)

        return counted

    async def stop(self, patience_s: float) -> int:
        """Refuse new requests, and end those that are still open after `patience_s`; return their number."""
        self._is_stopping = True
        if not self._tasks:
            return 0
        _, open_ones = await asyncio.wait(self._tasks, timeout=patience_s)
        for task in open_ones:
            task.cancel()
        return len(open_ones)

    async def _answer(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        if not self._is_stopping:
            task = asyncio.ensure_future(app(scope, receive, watched_send))
            self._tasks.add(task)
            try:
                await asyncio.wait([task])
            finally:
                self._tasks.discard(task)
                task.cancel()
            if not task.cancelled():
                task.result()
                return
        if not started:  # the rest of an answer cannot be replaced; its connection is cut, so that the client notices
            await JSONResponse({"error": SENTENCE}, 503, {"Retry-After": str(RETRY_S)})(scope, receive, send)
