"""Builds whose processes and nodes are killed, whose hub fails and whose objects are poison end as if undisturbed.

Real builds by the command itself, on a real cluster of several nodes, from a server in the hub's layout, while a reader
looks on. Most have a stub in Blender's place (`stub.py`), which a few do without.
"""

import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from base.seeds import stable_rng
from tests.pipeline.builds import EXAMPLES
from tests.pipeline.disturbed import (
    TARGETS,
    Calm,
    Place,
    address,
    after,
    ended,
    facts,
    model,
    stock,
    strike,
    tries,
    watched,
)
from tests.pipeline.hub import Hub, short, status
from tests.pipeline.nodes import Nodes

pytestmark = pytest.mark.server

FIRST = tuple(f"thing-{number}" for number in range(4))
HEALTHY = (*FIRST[1:], *(f"thing-{number}" for number in range(4, 15)))
POISON = {"segfault-0": ("crash", "SIGSEGV"), "memory-0": ("out_of_memory", "expected at most 400 MiB")}
OURS = "the system killed the child"
"""What is said where the child that we killed was at an object that would have killed it too."""
ALL = (*HEALTHY, *POISON, "gone")
"""The first request makes version 1; the second drops one of its objects, adds others, and makes version 2."""
REAL = ("stool", "avocado", "burger", "dog")
BORNE = {"driver": 4, "actor": 3, "child": 1, "node": 2, "all": 4}
"""How many kills of a kind one dataset has to bear: of a child one, since an object that two die of is poison."""
START_S = 3.5
"""A build that goes on where another was killed has begun to work by then."""


@pytest.fixture(scope="module")
def server(lasting_hub: Hub) -> Hub:
    """A hub with all objects but one that it names."""
    real = {uid: (EXAMPLES / f"{uid}.glb").read_bytes() for uid in REAL}
    stock(lasting_hub, {**{uid: model(uid) for uid in {*FIRST, *ALL}}, **real})
    del lasting_hub.files[address("gone")]
    return lasting_hub


@pytest.fixture(scope="module")
def calm(server: Hub, nodes: Nodes, tmp_path_factory: pytest.TempPathFactory) -> Calm:
    return Calm.made(Place.new(tmp_path_factory.mktemp("calm") / "second", server, nodes), FIRST, ALL)


def test_everything_at_once(calm: Calm, server: Hub, nodes: Nodes, tmp_path: Path) -> None:
    """A slice of all the tests below, in one rebuild: faults of the hub, poison, and a kill of each kind but `all`."""
    rng = stable_rng(0, "everything at once")
    place = calm.again(tmp_path / "disturbed")
    server.trouble.update({address("thing-5"): [status(500)], address("thing-6"): [status(429, Retry_After="1")]})
    server.trouble[address("thing-7")] = [short]
    with watched(place.root) as saw:
        first = place.start(ALL)
        for target, staged in {"child": 1, "actor": 2, "driver": 4}.items():
            after(first, place, staged, 0.0)
            assert strike(target, first, nodes, rng), ended(first)
        assert ended(first)[0] < 0
        second = place.start(ALL)
        after(second, place, 6, 0.0)
        assert strike("node", second, nodes, rng), ended(second)
        code, said = ended(second)
    assert code == 0, said[-3000:]
    calm.is_what(place, dying=POISON)
    assert saw["pinned"] > 1
    assert saw["versions"] == 2
    found = facts(place.storage)
    for uid, (outcome, words) in POISON.items():
        if OURS not in found[uid]["reason"]:
            assert found[uid]["outcome"] == outcome
            assert words in found[uid]["reason"]
    assert found["gone"]["outcome"] == "missing"
    assert {uid for uid, row in found.items() if row["outcome"] == "ok"} == set(HEALTHY)


def test_silent_builder_loses_its_lease(calm: Calm, nodes: Nodes, tmp_path: Path) -> None:
    """All workers of the cluster are its own; it is woken when the other has ended, and stops."""
    place = calm.again(tmp_path / "silent")
    place.changes = {"run": {"lease_s": 2.0}}
    with place.start(ALL) as silent:
        after(silent, place, 2, 0.0)
        silent.send_signal(signal.SIGSTOP)
        time.sleep(3.0)
        try:
            place.build(ALL)
        finally:
            silent.send_signal(signal.SIGCONT)
        code, said = ended(silent)
    assert code == 1, said[-3000:]
    assert "another builder took over" in said, said[-3000:]
    calm.is_what(place)


def killed(
    target: str, calm: Calm, nodes: Nodes, tmp_path: Path, kills: int, figure: Callable[[str, object], None]
) -> None:
    """Kill one part of the second request's build at random moments, as often as it must bear, and let the same command
    finish it; many times."""
    hits, number, again, saw = 0, 0, 0, Counter[str]()
    new = len(set(calm.requests[1]) - set(calm.requests[0]))
    while hits < kills:
        rng = stable_rng(0, "killed", target, number)
        place = calm.again(tmp_path / str(number))
        with watched(place.root) as seen:
            build, latest_s = place.start(calm.requests[1]), 1.0
            for _ in range(min(BORNE[target], kills - hits)):
                after(build, place, int(rng.integers(new)), float(rng.uniform(0.0, latest_s)))
                hits += strike(target, build, nodes, rng)
                if target in ("driver", "all"):
                    code, said = ended(build)
                    assert code <= 0, said[-3000:]
                    build, latest_s = place.start(calm.requests[1]), START_S
            code, said = ended(build)
            assert code == 0, said[-3000:]
        calm.is_what(place, dying=POISON.keys() & calm.requests[1] if target == "child" else ())
        saw.update(seen)
        again += (tries(place.storage, "ok") - tries(calm.after_second.storage, "ok")).total()
        shutil.rmtree(place.folder)
        number += 1
        assert number < 4 * kills + 4, "most builds end before they can be struck"
    figure("kills, after which the dataset became the bytes of an undisturbed run", hits)
    figure("datasets that had to bear them", number)
    figure("looks of the reader, none of which saw damage", saw["looks"])
    figure("objects recorded as rendered once more, after as many builds", f"{again} after {number}")


@pytest.mark.soak
@pytest.mark.parametrize("target", TARGETS)
def test_killed_at_random_moments(
    target: str, calm: Calm, nodes: Nodes, tmp_path: Path, times: int, figure: Callable[[str, object], None]
) -> None:
    killed(target, calm, nodes, tmp_path, times, figure)


@pytest.mark.soak
@pytest.mark.parametrize("target", TARGETS)
def test_killed_with_blender_at_work(
    target: str, server: Hub, nodes: Nodes, tmp_path: Path, times: int, figure: Callable[[str, object], None]
) -> None:
    limits = {"render": {"child": {"view_timeout_s": 60.0, "memory_mb": 3000}}}
    place = Place.new(tmp_path / "second", server, nodes, limits, stub=False)
    killed(target, Calm.made(place, REAL[:1], REAL), nodes, tmp_path, 1 + times // 20, figure)


@pytest.mark.soak
def test_a_build_whose_own_node_is_lost_says_so(
    calm: Calm, nodes: Nodes, tmp_path: Path, figure: Callable[[str, object], None]
) -> None:
    place = calm.again(tmp_path / "lost")
    build = place.start(ALL)
    after(build, place, 2, 0.0)
    nodes.kill_every_node()
    killed_at = time.monotonic()
    code, said = ended(build)
    figure("seconds until it is said that the node is lost", f"{time.monotonic() - killed_at:.0f}")
    nodes.kill()
    nodes.start_again()
    assert code == 1, said[-3000:]
    assert "Ray has ended on this machine" in said, said[-3000:]
    place.build(ALL)
    calm.is_what(place)
