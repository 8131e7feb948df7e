"""The end of a server: open requests are ended in a sentence, without tracebacks."""

import asyncio
import json
import re
import socket
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.web.conftest import picture_bytes
from tests.web.server import Server
from web.stopping import SENTENCE, OpenRequests

STARTED = {"type": "http.response.start", "status": 200, "headers": []}
ENDED = {"type": "http.response.body", "body": b"done"}


async def _nothing() -> dict[str, Any]:
    return {"type": "http.disconnect"}


def answers_of(slow: bool, *, started: bool = False) -> tuple[int, list[dict[str, Any]]]:
    """Stop while a request is open; return the number that was ended, and the messages to its client."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if started:
            await send(STARTED)
        await asyncio.sleep(1000.0 if slow else 0.0)
        if not started:
            await send(STARTED)
        await send(ENDED)

    async def run() -> tuple[int, list[dict[str, Any]]]:
        requests, sent = OpenRequests(), []

        async def send(message: Any) -> None:
            sent.append(message)

        task = asyncio.ensure_future(requests.around(app)({"type": "http"}, _nothing, send))
        await asyncio.sleep(0.0)
        await asyncio.sleep(0.0)
        ended = await requests.stop(0.05 if slow else 30.0)
        await task
        return ended, sent

    return asyncio.run(run())


def test_an_open_request_may_end_by_itself() -> None:
    assert answers_of(slow=False) == (0, [STARTED, ENDED])


def test_a_request_that_does_not_end_is_told_to_come_again() -> None:
    ended, sent = answers_of(slow=True)
    assert ended == 1
    assert sent[0]["status"] == 503
    assert json.loads(sent[1]["body"]) == {"error": SENTENCE}


def test_a_begun_answer_is_cut_and_not_completed() -> None:
    assert answers_of(slow=True, started=True) == (1, [STARTED])


def test_faults_pass_through() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("ours")

    async def run() -> None:
        await OpenRequests().around(app)({"type": "http"}, _nothing, app)

    with pytest.raises(ValueError, match="ours"):
        asyncio.run(run())


@pytest.mark.server
def test_a_stopped_server_ends_its_requests_in_a_sentence(tmp_path: Path) -> None:
    server = Server(tmp_path / "served")
    server.start()
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=60)) as client:
        photo = ask(client, "POST", "/api/photos", picture_bytes(side=200))["photo"]
        ask(client, "POST", f"/api/photos/{photo}/mesh", b"{}")
        waiting = ask(client, "POST", f"/api/photos/{photo}/views", b'{"orbit": 4}')
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as upload:
            upload.sendall(b"POST /api/photos HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nhalf")
            client.request("GET", f"{waiting['url']}?version={waiting['version']}&wait_s=30")
            log = server.stop()
            answer = client.getresponse()
            assert answer.status == 503
            assert json.loads(answer.read()) == {"error": SENTENCE}
            assert upload.recv(65536).startswith(b"HTTP/1.1 503 ")
    # Both were answered; a request that the server reads after the signal does not count as open.
    assert re.search(r"ended [12] open requests?;", log)
    assert "zero123: stopped" in log
    assert "Traceback" not in log
    assert log.count("\n") == 2


def ask(client: HTTPConnection, method: str, path: str, body: bytes) -> dict[str, Any]:
    client.request(method, path, body=body, headers={"Content-Type": "application/json"})
    return dict(json.loads(client.getresponse().read()))
