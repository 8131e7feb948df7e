"""Files from a server that cannot be trusted, over real HTTP."""

import struct
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest

from base.digest import sha256_bytes
from base.outcomes import Outcome
from pipeline.fetch.fetch import FetchError, fetch
from pipeline.fetch.http import retry_after_s
from pipeline.fetch.limiter import Buckets
from pipeline.settings import FetchSettings
from tests.pipeline.hub import Hub, Trouble, dripping, endless, hub, send, short, stalled, status

SETTINGS = FetchSettings(
    timeout_s=0.5, deadline_s=5.0, tries=3, backoff_s=0.01, max_bytes=100_000, cache="", cache_mb=0,
    requests=1000, window_s=1.0, shared_address=True,
)  # fmt: skip
OPEN = Buckets(1_000_000, 1.0)
GLB = struct.pack("<4sII", b"glTF", 2, 40) + bytes(28)


@pytest.fixture
def server() -> Iterator[Hub]:
    with hub() as state:
        state.files["/a.glb"] = GLB
        yield state


def failed(
    server: Hub, target: Path, path: str = "/a.glb", settings: FetchSettings = SETTINGS, **more: str
) -> FetchError:
    with pytest.raises(FetchError) as caught:
        fetch(f"{server.address}{path}", target, settings, OPEN, **more)
    assert list(target.parent.iterdir()) == [], "a failed fetch leaves nothing behind"
    return caught.value


def test_a_whole_file_arrives(server: Hub, tmp_path: Path) -> None:
    fetched = fetch(f"{server.address}/a.glb", tmp_path / "a.glb", SETTINGS, OPEN, sha256=sha256_bytes(GLB))
    assert (tmp_path / "a.glb").read_bytes() == GLB
    assert (fetched.sha256, fetched.bytes) == (sha256_bytes(GLB), 40)
    assert [path.name for path in tmp_path.iterdir()] == ["a.glb"]


@pytest.mark.parametrize(
    "troubles",
    [[status(500), status(503)], [short, stalled], [status(429, Retry_After="0")], [status(408), status(425)]],
    ids=["5xx", "cut", "429", "408"],
)
def test_what_passes_is_tried_again(server: Hub, tmp_path: Path, troubles: list) -> None:
    server.trouble["/a.glb"] = list(troubles)
    fetch(f"{server.address}/a.glb", tmp_path / "a.glb", SETTINGS, OPEN)
    assert (tmp_path / "a.glb").read_bytes() == GLB
    assert server.asked["/a.glb"] == len(troubles) + 1


def test_retry_after_is_obeyed(server: Hub, tmp_path: Path) -> None:
    server.trouble["/a.glb"] = [status(429, Retry_After="1")]
    started = time.monotonic()
    fetch(f"{server.address}/a.glb", tmp_path / "a.glb", SETTINGS, OPEN)
    assert time.monotonic() - started >= 1.0


def test_turn_after_the_deadline_is_throttled(server: Hub, tmp_path: Path) -> None:
    gate = Buckets(1, 3600.0)
    fetch(f"{server.address}/a.glb", tmp_path / "a.glb", SETTINGS, gate)
    with pytest.raises(FetchError, match="expected a turn before the deadline, got one in 3600 s") as caught:
        fetch(f"{server.address}/a.glb", tmp_path / "b.glb", SETTINGS, gate)
    assert caught.value.outcome is Outcome.THROTTLED
    assert server.asked["/a.glb"] == 1


def test_a_refusal_holds_everyone_with_the_same_bucket_back(server: Hub, tmp_path: Path) -> None:
    gate = Buckets(1000, 1.0)
    server.trouble["/a.glb"] = [status(429, Retry_After="60")] * 2
    with pytest.raises(FetchError, match="429"):
        fetch(f"{server.address}/a.glb", tmp_path / "a.glb", SETTINGS, gate)
    with pytest.raises(FetchError, match="expected a turn"):
        fetch(f"{server.address}/b.glb", tmp_path / "b.glb", SETTINGS, gate)
    assert dict(server.asked) == {"/a.glb": 1}
    with pytest.raises(FetchError, match="404"):
        fetch(f"{server.address}/b.glb", tmp_path / "b.glb", SETTINGS, gate, token="another credential")


def test_a_server_that_asks_for_peace_gets_it_from_everyone(server: Hub, tmp_path: Path) -> None:
    gate = Buckets(1000, 1.0)
    server.trouble["/a.glb"] = [status(503, Retry_After="60")]
    with pytest.raises(FetchError, match="503"):
        fetch(f"{server.address}/a.glb", tmp_path / "a.glb", SETTINGS, gate)
    with pytest.raises(FetchError, match="expected a turn"):
        fetch(f"{server.address}/a.glb", tmp_path / "a.glb", SETTINGS, gate)


def test_waiting_request_respects_a_later_closing(server: Hub, tmp_path: Path) -> None:
    class Closing(Buckets):
        def take(self, key: str) -> float:
            self.close(key, 0.3)
            return 0.1

    started = time.monotonic()
    fetch(f"{server.address}/a.glb", tmp_path / "a.glb", SETTINGS, Closing(1000, 1.0))
    assert time.monotonic() - started >= 0.3


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": formatdate(time.time() - 60.0, usegmt=True)}, 0.0),
        ({"RateLimit": '"resolvers";r=0;t=55'}, 55.0),
        ({"RateLimit": '"resolvers";r=12;t=55'}, None),
        ({"Retry-After": "soon"}, None),
        ({}, None),
    ],
)
def test_what_a_server_asks_for_is_understood(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers) == seconds
    later = retry_after_s({"Retry-After": formatdate(time.time() + 60.0, usegmt=True)})
    assert later == pytest.approx(60.0, abs=5.0)


def test_the_deadline_holds_however_busy_the_server_keeps_us(server: Hub, tmp_path: Path) -> None:
    server.trouble["/a.glb"] = [dripping]
    hurried = SETTINGS.model_copy(update={"deadline_s": 0.4})
    started = time.monotonic()
    error = failed(server, tmp_path / "a.glb", settings=hurried)
    assert error.outcome is Outcome.LOST
    assert error.reason.endswith("not finished within its deadline")
    assert time.monotonic() - started < 5.0


@pytest.mark.parametrize(
    ("trouble", "outcome", "tries"),
    [
        (status(404), Outcome.MISSING, 1),
        (status(401), Outcome.FORBIDDEN, 1),
        (status(429), Outcome.THROTTLED, 3),
        (status(500), Outcome.LOST, 3),
        (short, Outcome.CORRUPT, 3),
        (stalled, Outcome.LOST, 3),
        (endless, Outcome.TOO_LARGE, 1),
    ],
)
def test_what_stays_has_its_own_outcome(
    server: Hub, tmp_path: Path, trouble: object, outcome: Outcome, tries: int
) -> None:
    server.trouble["/a.glb"] = [trouble] * 3  # type: ignore[list-item]
    assert failed(server, tmp_path / "a.glb").outcome is outcome
    assert server.asked["/a.glb"] == tries


def test_a_large_file_is_refused_before_it_is_read(server: Hub, tmp_path: Path) -> None:
    server.files["/big.glb"] = bytes(200_000)
    assert failed(server, tmp_path / "big.glb", "/big.glb").outcome is Outcome.TOO_LARGE


def test_other_bytes_than_promised_are_named(server: Hub, tmp_path: Path) -> None:
    assert failed(server, tmp_path / "a.glb", sha256="0" * 64).outcome is Outcome.MODIFIED


@pytest.mark.parametrize("data", [b"", b"<html>", GLB[:-1], b"glTF" + struct.pack("<II", 1, 12)])
def test_what_is_no_gltf_is_corrupt(server: Hub, tmp_path: Path, data: bytes) -> None:
    server.files["/b.glb"] = data
    error = failed(server, tmp_path / "b.glb", "/b.glb")
    assert error.outcome is Outcome.CORRUPT
    assert "expected binary glTF 2" in error.reason


def test_a_dead_server_is_lost_not_missing(tmp_path: Path) -> None:
    with pytest.raises(FetchError) as caught:
        fetch("http://127.0.0.1:9/a.glb", tmp_path / "a.glb", SETTINGS, OPEN)
    assert caught.value.outcome is Outcome.LOST


@pytest.mark.parametrize(
    "url",
    [
        *("file:///etc/passwd", "ftp://127.0.0.1/a", "pipe:cat", "http://[::1/a", "http://a:x/", "http://"),
        *(f"http://{'a' * 64}.example/a", "http://a..b/a"),
    ],
)
def test_only_http_is_fetched(tmp_path: Path, url: str) -> None:
    with pytest.raises(FetchError, match="expected an") as caught:
        fetch(url, tmp_path / "a", SETTINGS, OPEN)
    assert caught.value.outcome is Outcome.UNSUPPORTED


def test_an_address_with_other_letters_is_asked_for_quoted(server: Hub, tmp_path: Path) -> None:
    server.files["/st%C3%BChle/a%20b%20c.glb?x=%C3%A4&y=1"] = GLB
    fetch(f"{server.address}/stühle/a%20b c.glb?x=ä&y=1", tmp_path / "a.glb", SETTINGS, OPEN)
    server.trouble["/ftp"] = [status(302, Location="ftp://127.0.0.1/a.glb")]
    assert failed(server, tmp_path / "none" / "f.glb", "/ftp").outcome is Outcome.UNSUPPORTED


@pytest.mark.parametrize(
    "target",
    [
        *("file:///etc/passwd?sig=hidden", "data:,hidden", "ftp://127.0.0.1/a.glb?sig=hidden"),
        *("http://ann:hidden@127.0.0.1:9/a.glb", "/to?sig=hidden", "http://127.0.0.1:x/a.glb?sig=hidden"),
    ],
    ids=["file", "data", "ftp", "user", "loop", "port"],
)
def test_bad_redirect_is_unsupported(server: Hub, tmp_path: Path, target: str) -> None:
    for path in ("/to", "/to?sig=hidden"):
        server.trouble[path] = [status(302, Location=target)] * 20
    error = failed(server, tmp_path / "a.glb", "/to?sig=hidden")
    assert error.outcome is Outcome.UNSUPPORTED
    assert error.reason.startswith(f"{server.address}/to: expected a")
    assert "hidden" not in error.reason
    assert "\n" not in error.reason


SIGNED = "X-Amz-Credential=hidden%2Fus&v=2&X-Amz-Signature=hidden"


@pytest.mark.parametrize(
    ("trouble", "more"),
    [
        (status(404), {}),
        (status(500), {}),
        (short, {}),
        (stalled, {}),
        (endless, {}),
        (lambda request, body: send(request, 200, b"<html>"), {}),
        (lambda request, body: send(request, 200, GLB), {"sha256": "0" * 64}),
    ],
    ids=["404", "500", "short", "stalled", "endless", "page", "modified"],
)
def test_what_lets_in_is_asked_with_and_not_told(server: Hub, tmp_path: Path, trouble: Trouble, more: dict) -> None:
    server.trouble[f"/a.glb?{SIGNED}"] = [trouble] * 3
    error = failed(server, tmp_path / "a.glb", f"/a.glb?{SIGNED}", **more)
    assert server.asked[f"/a.glb?{SIGNED}"]
    assert error.reason.startswith(f"{server.address}/a.glb?v=2: ")
    assert "hidden" not in error.reason


def test_a_users_name_and_password_are_refused_and_not_told(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"^http://127\.0\.0\.1:9/a\.glb: expected an address without") as caught:
        fetch("http://ann:hidden@127.0.0.1:9/a.glb", tmp_path / "a.glb", SETTINGS, OPEN)
    assert caught.value.outcome is Outcome.UNSUPPORTED


def test_the_token_stays_with_its_host(server: Hub, tmp_path: Path) -> None:
    with hub() as other:
        other.files["/a.glb"] = GLB
        server.trouble["/gated"] = [status(302, Location=f"{other.address}/a.glb")]
        server.trouble["/moved"] = [status(302, Location="/a.glb")]
        fetch(f"{server.address}/gated", tmp_path / "a.glb", SETTINGS, OPEN, token="secret")
        fetch(f"{server.address}/moved", tmp_path / "b.glb", SETTINGS, OPEN, token="secret")
        assert server.tokens == {"/gated": "Bearer secret", "/moved": "Bearer secret", "/a.glb": "Bearer secret"}
        assert other.tokens == {"/a.glb": None}
