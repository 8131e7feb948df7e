"""A bucket whose server refuses, is late, or loses its answers: retried or said, and never a damaged dataset.

Real builds by the command itself, with a stub in Blender's place, on a cluster of several nodes; a real S3 server
(moto) with troubles before it.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from base.errors import Failure
from base.seeds import stable_rng
from base.storage import Storage
from pipeline.catalog.lease import NAME, Holder, Lease
from pipeline.catalog.rows import Attempt
from pipeline.catalog.tables import Catalog
from tests.pipeline.disturbed import ROOT, Place, contents, ended, facts, model, stock, strike, table, watched
from tests.pipeline.hub import Hub
from tests.pipeline.nodes import Nodes
from tests.server.s3 import BUCKET, KINDS, trouble

pytestmark = pytest.mark.server

SLOW = 5
"""Builds into a bucket take long: of a kind there are a fifth as many as of others."""

UIDS = tuple(f"thing-{number}" for number in range(8))
HASTY = {"FSSPEC_S3": '{"config_kwargs": {"read_timeout": 1, "connect_timeout": 1}}'}
LATE_S = 1.5
"""Later than HASTY readers wait."""


@pytest.fixture
def storage(s3: str, request: pytest.FixtureRequest) -> Storage:
    trouble(s3, share=0.0, slow_s=0.0)
    return Storage(f"s3://{BUCKET}/{request.node.name.partition('[')[0]}")


def test_a_put_whose_answer_was_lost_is_known_as_ours(s3: str, storage: Storage) -> None:
    trouble(s3, share=1.0, kinds=["answer lost"], limit=1, paths="^PUT ")
    assert storage.create("a.json", b"ours")
    assert not storage.create("a.json", b"another's")
    assert storage.read("a.json") == b"ours"
    trouble(s3, share=1.0, kinds=["answer lost"], limit=1, paths="^PUT .*lease")
    with Lease(storage, 60.0), pytest.raises(Failure, match=f"process {os.getpid()}"), Lease(storage, 60.0):
        pass
    assert trouble(s3, share=0.0)["answer lost"] == 1


def test_of_many_that_follow_a_silent_builder_one_wins(storage: Storage) -> None:
    old = replace(Holder.here(60.0), host="another-host", expires_at=time.time() + 60)
    storage.write(NAME, old.to_json())
    with pytest.raises(Failure, match="another-host"), Lease(storage, 60.0):
        pass
    storage.write(NAME, replace(old, expires_at=0.0).to_json())
    at_once, finished, ends = threading.Barrier(4), threading.Event(), list[str]()

    def follow() -> None:
        at_once.wait()
        try:
            with Lease(Storage(storage.root), 60.0):
                ends.append("held")
                finished.wait(20)
        except Failure as failure:
            ends.append(str(failure))

    threads = [threading.Thread(target=follow) for _ in range(4)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 20
    while len(ends) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    finished.set()
    for thread in threads:
        thread.join()
    assert (ends.count("held"), len(ends)) == (1, 4), ends
    assert not storage.exists(NAME)


WRITER = """
import sys
from base.storage import Storage
from pipeline.catalog.tables import Catalog
from pipeline.catalog.rows import Attempt
for number in range(5):
    one = Attempt(attempt=f"{sys.argv[2]}-{number}", run="", uid="thing", outcome="ok")
    Catalog(Storage(sys.argv[1])).record([one])
"""


def test_writers_at_once_lose_nothing(s3: str, storage: Storage) -> None:
    """Conditional puts of the table's log: of two that would write one version, the other writes the next."""
    Catalog(storage).record([Attempt(attempt="first", run="", uid="thing", outcome="ok")])
    trouble(s3, share=0.05, kinds=["503", "500", "cut", "answer lost"], limit=1 << 30, paths="", seed=1)
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, storage.root, name], cwd=ROOT) for name in "abc"]
    assert [writer.wait(120) for writer in writers] == [0, 0, 0]
    trouble(s3, share=0.0)
    expected = ["first", *(f"{name}-{number}" for name in "abc" for number in range(5))]
    assert sorted(row["attempt"] for row in table(storage, "attempts")) == sorted(expected)
    log = [name for name in storage.names("catalog/attempts/_delta_log") if name.endswith(".json")]
    assert len(log) >= len(expected)


@pytest.fixture(scope="module")
def calm(s3: str, nodes: Nodes, lasting_hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """An undisturbed build, in a folder."""
    stock(lasting_hub, {uid: model(uid) for uid in UIDS})
    place = Place.new(tmp_path_factory.mktemp("calm") / "place", lasting_hub, nodes)
    place.build(UIDS)
    return place


def in_bucket(name: str, calm: Place, folder: Path) -> Place:
    """A dataset that is to become what the calm one is, in the bucket."""
    folder.mkdir()
    return replace(calm, folder=folder, root=f"s3://{BUCKET}/{name}", environment=HASTY)


def finished(place: Place, calm: Place, most: int) -> Counter[str]:
    """Repeat the build until it succeeds, and compare; how often it did not, and why."""
    ends = Counter[str]()
    while True:
        code, said = ended(place.start(UIDS))
        if code == 0:
            break
        last = said.strip().splitlines()[-1]
        assert (code, last[:9]) == (1, "zero123: "), f"{said[:1500]} … {said[-1500:]}"
        ends["a sentence"] += 1
        assert ends.total() < most, f"{said[:1500]} … {said[-1500:]}"
    is_what(place, calm)
    return ends


def is_what(place: Place, calm: Place) -> None:
    """AssertionError unless the newest version holds the same shards, and the catalogue says the same."""
    shards = {name: data for name, data in contents(calm.storage).items() if name.startswith("shards")}
    assert {name: data for name, data in contents(place.storage).items() if name.startswith("shards")} == shards
    assert facts(place.storage) == facts(calm.storage)
    assert not place.storage.exists("lease.json")


def test_two_builders_at_once_in_troubles_make_one_dataset(s3: str, calm: Place, tmp_path: Path) -> None:
    """A slice of the tests below: a twentieth of all calls fail, two commands begin at once, and one is killed."""
    place = in_bucket("slice", calm, tmp_path / "place")
    trouble(s3, share=0.05, kinds=list(KINDS), late_s=LATE_S, limit=1 << 30, paths="", seed=2)
    with watched(place.root) as saw:
        both = [place.start(UIDS), place.start(UIDS)]
        while all(build.poll() is None for build in both):
            time.sleep(0.05)
        refused, other = sorted(both, key=lambda build: build.poll() is None)
        code, said = ended(refused)
        assert code == 1, said
        assert "expected to build alone" in said or "another builder has just begun" in said
        other.kill()
        ended(other)
        finished(place, calm, most=4)
    met = trouble(s3, share=0.0)
    assert sum(met.get(kind, 0) for kind in KINDS) > 0
    assert saw["shards"] > 0


@pytest.mark.soak
def test_a_twentieth_of_all_calls_fails(
    s3: str, calm: Place, tmp_path: Path, times: int, figure: Callable[[str, object], None]
) -> None:
    ends, met, saw = Counter[str](), Counter[str](), Counter[str]()
    builds = -(-times // SLOW)
    for number in range(builds):
        place = in_bucket(f"troubled-{number}", calm, tmp_path / str(number))
        trouble(s3, share=0.05, kinds=list(KINDS), late_s=LATE_S, slow_s=0.0, limit=1 << 30, paths="", seed=number)
        with watched(place.root) as seen:
            ends.update(finished(place, calm, most=10))
        saw.update(seen)
        met.update(trouble(s3, share=0.0))
        Storage(place.root).remove("shards")
        shutil.rmtree(place.folder)
    figure("builds in a bucket that ended as the undisturbed one", builds)
    for kind in ("calls", *KINDS):
        figure(f"calls that met {kind}" if kind != "calls" else "calls to the server", met[kind])
    figure("builds that stopped with a sentence and were begun again", ends.total())
    figure("looks of the reader, none of which saw damage", saw["looks"])


@pytest.mark.soak
@pytest.mark.parametrize("target", ["driver", "actor"])
def test_killed_while_writing_into_a_bucket(
    target: str, s3: str, calm: Place, nodes: Nodes, tmp_path: Path, times: int, figure: Callable[[str, object], None]
) -> None:
    trouble(s3, share=0.0, slow_s=0.0)
    hits, number, length_s, kills = 0, 0, 10.0, -(-times // SLOW)
    while hits < kills:
        rng = stable_rng(0, "killed in a bucket", target, number)
        place = in_bucket(f"killed-{target}-{number}", calm, tmp_path / str(number))
        started = time.monotonic()
        with watched(place.root):
            build = place.start(UIDS)
            try:
                build.wait(float(rng.uniform(1.0, length_s)))
            except subprocess.TimeoutExpired:
                hits += strike(target, build, nodes, rng)
            code, said = ended(build)
            length_s = max(length_s, time.monotonic() - started) if code == 0 else length_s
            assert code == 0 or target == "driver", f"{said[:1500]} … {said[-1500:]}"
            finished(place, calm, most=2)
        shutil.rmtree(place.folder)
        number += 1
        assert number < 4 * kills + 4, "most builds end before they can be struck"
    figure("kills, each followed by the bytes of an undisturbed run", hits)


@pytest.mark.soak
def test_a_builder_silent_past_its_lease_is_followed_and_stops(
    s3: str, calm: Place, tmp_path: Path, times: int, figure: Callable[[str, object], None]
) -> None:
    """Stopped by SIGSTOP at a random moment of a build with slow puts, and woken when another has taken its place."""
    trouble(s3, share=0.0, slow_s=0.2)
    woken = Counter[str]()
    for number in range(-(-times // SLOW)):
        rng = stable_rng(0, "silent", number)
        place = replace(in_bucket(f"silent-{number}", calm, tmp_path / str(number)), changes={"run": {"lease_s": 5.0}})
        with place.start(UIDS) as first:
            while not place.storage.exists(NAME) and first.poll() is None:
                time.sleep(0.05)
            time.sleep(float(rng.uniform(0.0, 5.0)))
            first.send_signal(signal.SIGSTOP)
            try:
                while True:
                    code, said = ended(place.start(UIDS))
                    if code == 0 or "expected to build alone" not in said:
                        break
                    time.sleep(1.0)
            finally:
                first.send_signal(signal.SIGCONT)
            assert code == 0, f"{said[:1500]} … {said[-1500:]}"
            code, said = ended(first)
        assert code == 0 or "another builder took over" in said or "could not" in said, (
            f"{said[:1500]} … {said[-1500:]}"
        )
        woken["it had ended" if code == 0 else "it stopped with a sentence"] += 1
        finished(place, calm, most=2)
        shutil.rmtree(place.folder)
    trouble(s3, share=0.0, slow_s=0.0)
    for how, count in sorted(woken.items()):
        figure(f"builders woken after another had followed: {how}", count)


@pytest.mark.soak
def test_a_server_that_is_away_is_said_in_time(
    s3: str, storage: Storage, figure: Callable[[str, object], None]
) -> None:
    trouble(s3, share=1.0, kinds=["503"], limit=1 << 30, paths="")
    started = time.monotonic()
    with pytest.raises(Failure, match="could not write"):
        storage.write("a", b"b")
    with pytest.raises(Failure, match="the catalogue could not be used"):
        Catalog(storage).record([Attempt(attempt="one", run="", uid="thing", outcome="ok")])
    trouble(s3, share=0.0)
    assert time.monotonic() - started < 120
    figure("seconds until it is said that the server only refuses", f"{time.monotonic() - started:.0f}")
