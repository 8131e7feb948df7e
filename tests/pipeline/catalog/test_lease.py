"""One builder at a time, whatever became of the one before."""

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from base.errors import Failure
from base.storage import Storage
from pipeline.catalog.lease import NAME, Holder, Lease, process_start


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path)


def put(storage: Storage, holder: Holder, name: str = NAME) -> None:
    storage.write(name, json.dumps(asdict(holder)).encode())


def test_a_second_builder_is_told_who_holds_it(storage: Storage) -> None:
    with Lease(storage, 60.0), pytest.raises(Failure, match=rf"process {os.getpid()} on "), Lease(storage, 60.0):
        pass
    assert list(Path(storage.root).iterdir()) == []


def test_a_holder_elsewhere_is_believed_until_it_expires(storage: Storage) -> None:
    elsewhere = replace(Holder.here(60.0), host="another-host")
    put(storage, elsewhere)
    with pytest.raises(Failure, match="another-host"), Lease(storage, 60.0):
        pass
    put(storage, replace(elsewhere, expires_at=time.time() - 1))
    with Lease(storage, 60.0) as lease:
        assert json.loads(storage.read(NAME))["token"] == lease.holder.token
    assert list(Path(storage.root).iterdir()) == []


def test_a_process_that_is_gone_from_this_host_holds_nothing(storage: Storage) -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert process_start(child.pid) == "", "ended, though nobody has waited for it"
    child.wait()
    put(storage, replace(Holder.here(3600.0), pid=child.pid))
    with Lease(storage, 60.0):
        pass
    put(storage, replace(Holder.here(3600.0), process_start="1"))  # the pid was given to another process since
    with Lease(storage, 60.0):
        pass


def test_of_many_that_follow_one_wins(storage: Storage) -> None:
    put(storage, replace(Holder.here(60.0), host="another-host", expires_at=0.0))
    at_once, held, refused = threading.Barrier(8), [], []

    def follow() -> None:
        at_once.wait()
        try:
            with Lease(storage, 60.0) as lease:
                held.append(lease.holder.token)
                finished.wait(5)
        except Failure as failure:
            refused.append(str(failure))

    finished = threading.Event()
    threads = [threading.Thread(target=follow) for _ in range(8)]
    for thread in threads:
        thread.start()
    while len(held) + len(refused) < 8:
        time.sleep(0.01)
    finished.set()
    for thread in threads:
        thread.join()
    assert len(held) == 1
    assert len(refused) == 7


def test_a_claim_whose_maker_died_is_followed_too(storage: Storage) -> None:
    old = replace(Holder.here(60.0), host="another-host", expires_at=0.0)
    claimant = replace(Holder.here(60.0), host="a-third-host", expires_at=0.0)
    put(storage, old)
    put(storage, claimant, f"lease.{old.token}.json")
    with Lease(storage, 60.0) as lease:
        assert lease.holder.followed == (old.token, claimant.token)
    assert list(Path(storage.root).iterdir()) == []


def test_whoever_follows_one_that_had_followed_knows_of_both(storage: Storage) -> None:
    first = replace(Holder.here(60.0), host="another-host", expires_at=0.0)
    put(storage, first)
    second = Lease(storage, 60.0)
    second.__enter__()
    second._done.set()  # it is silent from here on
    second._heart.join()
    put(storage, replace(second.holder, expires_at=0.0))
    with Lease(storage, 60.0) as third:
        assert third.holder.followed == (first.token, second.holder.token)


def test_the_heart_beats_and_notices_a_successor(storage: Storage) -> None:
    with Lease(storage, 0.2) as lease:
        first = json.loads(storage.read(NAME))["expires_at"]
        wait_until(lambda: json.loads(storage.read(NAME))["expires_at"] > first)
        lease.check()
        put(storage, replace(Holder.here(60.0), host="another-host"))
        wait_until(lambda: lease.lost)
        with pytest.raises(Failure, match="took over"):
            lease.check()
    assert json.loads(storage.read(NAME))["host"] == "another-host", "a lost lease is left to its new holder"


class Troubled(Storage):
    """Storage that may be out of reach for a while."""

    away = False

    def exists(self, name: str) -> bool:
        if self.away:
            raise Failure("out of reach")
        return super().exists(name)


def test_storage_out_of_reach_for_a_while_is_no_successor(tmp_path: Path) -> None:
    storage = Troubled(tmp_path)
    with Lease(storage, 0.4) as lease:
        storage.away = True
        wait_until(lambda: time.time() > lease.holder.expires_at)
        with pytest.raises(Failure, match="out of reach"):
            lease.check()
        storage.away = False
        lease.check()
        wait_until(lambda: time.time() < lease.holder.expires_at)
    assert not storage.exists(NAME)


def test_one_who_was_stopped_for_a_while_asks_before_writing(storage: Storage) -> None:
    with Lease(storage, 60.0) as lease:
        lease.holder = replace(lease.holder, expires_at=0.0)
        lease.check()
        put(storage, replace(Holder.here(60.0), host="another-host"))
        with pytest.raises(Failure, match="took over"):
            lease.check()


def test_a_failure_to_give_it_back_hides_no_other(tmp_path: Path) -> None:
    storage, first = Troubled(tmp_path), Failure("the disk is full")
    lease = Lease(storage, 60.0)
    lease.__enter__()
    storage.away = True
    lease.__exit__(Failure, first, None)
    assert storage.local_path(NAME).exists()


def test_a_file_that_is_no_lease_is_named(storage: Storage) -> None:
    storage.write(NAME, b"{}")
    with pytest.raises(Failure, match=r"lease\.json: expected a lease"), Lease(storage, 60.0):
        pass


def wait_until(reached: object) -> None:
    deadline = time.monotonic() + 10
    while not reached():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.02)
