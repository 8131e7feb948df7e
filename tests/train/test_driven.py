"""A driver that is asked to stop: its ranks are told, waited for, and not for ever."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from base.errors import Failure
from tests.train.test_loop import Stopped, own_sigterm
from train import driven as module
from train.driven import STOP, asked_in, driven

SOON_S = 60.0
"""What ends at once may take on a busy machine; the graces of these tests are longer, or shorter by far."""


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def until_asked(out: Path) -> None:
    while not asked_in(out):
        time.sleep(0.01)


def for_ever() -> None:
    threading.Event().wait()


def test_a_signal_asks_the_ranks_to_stop_and_goes_on_when_they_have(tmp_path: Path) -> None:
    out, did = tmp_path / "out", []

    def work() -> None:
        did.append("began")
        terminate()
        until_asked(out)
        did.append("saved")

    with own_sigterm(), pytest.raises(Stopped):
        driven(work, out)
    assert did == ["began", "saved"]
    assert list(out.iterdir()) == []


def test_what_an_earlier_driver_left_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / STOP).touch()
    asked: list[bool] = []
    driven(lambda: asked.append(asked_in(tmp_path)), tmp_path)
    assert asked == [False]


def test_ranks_that_do_not_end_are_not_waited_for_beyond_the_grace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GRACE_S", 0.2)

    def work() -> None:
        terminate()
        for_ever()

    with own_sigterm(), pytest.raises(Stopped):
        driven(work, tmp_path)
    assert not asked_in(tmp_path)


def test_a_second_signal_ends_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GRACE_S", 10 * SOON_S)

    def work() -> None:
        terminate()
        until_asked(tmp_path)
        terminate()
        for_ever()

    began = time.monotonic()
    with own_sigterm(), pytest.raises(Stopped):
        driven(work, tmp_path)
    assert time.monotonic() - began < SOON_S
    assert not asked_in(tmp_path)


def test_what_goes_wrong_while_ranks_stop_is_told(tmp_path: Path) -> None:
    def work() -> None:
        terminate()
        until_asked(tmp_path)
        raise Failure("the disk is full")

    with own_sigterm(), pytest.raises(Failure, match="the disk is full"):
        driven(work, tmp_path)
