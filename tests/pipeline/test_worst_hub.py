"""A hub at its worst: every object ends as its troubles say, in bounded time, and no bad byte is kept anywhere."""

import shutil
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from numpy.random import Generator

from base.digest import sha256_bytes, sha256_file
from base.seeds import stable_rng
from pipeline.plan.plan import RETRIED
from tests.pipeline.disturbed import REPOSITORY, Place, address, contents, ended, model, outcomes, stock, tries
from tests.pipeline.hub import Hub, Trouble, send, short, stalled, status
from tests.pipeline.nodes import Nodes

pytestmark = [pytest.mark.chain, pytest.mark.soak]

UIDS = tuple(f"thing-{number}" for number in range(20))
INDEX = f"{REPOSITORY}/object-paths.json.gz"
FETCH = {"timeout_s": 1.0, "deadline_s": 40.0, "tries": 5, "backoff_s": 0.05}
MOST_S = 120.0
"""What one build may take: 20 objects of two workers, none of which may be waited for longer than its deadline."""


def wrong(request: BaseHTTPRequestHandler, _body: bytes) -> None:
    """Another page with a good status, as captive portals and proxies send."""
    send(request, 200, b"<html>please log in</html>")


PASSING: dict[str, Trouble] = {
    "500": status(500),
    "503": status(503),
    "429": status(429, Retry_After="1"),
    "short body": short,
    "stalled socket": stalled,
}
LASTING: dict[str, tuple[Trouble, str]] = {
    "404": (status(404), "missing"),
    "403": (status(403), "forbidden"),
    "500": (status(500), "lost"),
    "429": (status(429), "throttled"),
    "short body": (short, "corrupt"),
    "stalled socket": (stalled, "lost"),
    "wrong bytes": (wrong, "corrupt"),
}


def drawn(rng: Generator, server: Hub, met: Counter[str]) -> dict[str, str]:
    """Give about half of the objects troubles: some that pass, some that last; how each object has to end."""
    ends = {}
    for uid in UIDS:
        lot, passing, lasting = rng.random(), [*PASSING], [*LASTING]
        if lot < 0.3:
            names = [passing[int(rng.integers(len(passing)))] for _ in range(int(rng.integers(1, 3)))]
            server.trouble[address(uid)] = [PASSING[name] for name in names]
            met.update(names)
        elif lot < 0.6:
            name = lasting[int(rng.integers(len(lasting)))]
            trouble, ends[uid] = LASTING[name]
            server.trouble[address(uid)] = [trouble] * 100
            met[name] += 1
    return {uid: ends.get(uid, "ok") for uid in UIDS}


def test_every_object_ends_as_its_troubles_say(
    nodes: Nodes, lasting_hub: Hub, tmp_path: Path, times: int, figure: Callable[[str, object], None]
) -> None:
    server, met, longest_s = lasting_hub, Counter[str](), 0.0
    stock(server, {uid: model(uid) for uid in UIDS})
    calm = Place.new(tmp_path / "calm", server, nodes, {"objects": {"fetch": FETCH}})
    calm.build(UIDS)
    shards = {name: data for name, data in contents(calm.storage).items() if name.startswith("shards")}
    for number in range(times):
        place = Place.new(tmp_path / str(number), server, nodes, calm.changes)
        server.trouble = {INDEX: [lambda request, body: send(request, 200, body[:50])]}
        code, said = ended(place.start(UIDS))
        assert code == 1, said
        assert "expected gzipped JSON" in said, said
        expected, started = drawn(stable_rng(0, "hub", number), server, met), time.monotonic()
        place.build(UIDS)
        longest_s = max(longest_s, time.monotonic() - started)
        assert outcomes(place.storage) == expected
        keeps_good_bytes_only(place.folder / "models")
        server.trouble.clear()
        place.build(UIDS)
        settled = {uid for uid, outcome in expected.items() if outcome not in (*RETRIED, "ok")}
        assert {uid for uid, outcome in outcomes(place.storage).items() if outcome != "ok"} == settled
        asked = Counter(server.asked)
        place.build(UIDS, "retry-failed")
        fetched = {path for path, count in server.asked.items() if count != asked[path]}
        assert fetched == {address(uid) for uid in settled}, "what was fetched is not fetched again"
        now = contents(place.storage)
        assert {name: now[name] for name in shards} == shards
        assert tries(place.storage, "ok") == Counter(UIDS)
        shutil.rmtree(place.folder)
    assert longest_s < MOST_S
    for name, count in sorted(met.items()):
        figure(f"objects that met {name} and ended as they should", count)
    figure("truncated indexes, none of which was kept", times)
    figure("seconds of the longest build", f"{longest_s:.0f}")


def keeps_good_bytes_only(cache: Path) -> None:
    """AssertionError for a file that is not of the digest that its name says, or not what the hub has."""
    good = {sha256_bytes(model(uid)) for uid in UIDS}
    kept = [path for path in cache.iterdir() if path.name != "lock"]
    assert kept
    for path in kept:
        assert path.name.endswith(f"-{sha256_file(path)}")
        assert path.name.rpartition("-")[2] in good
