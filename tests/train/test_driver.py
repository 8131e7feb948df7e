"""A driver and its ranks: they are told to stop, waited for, and not for ever; what they say is told."""

import os
import re
import signal
import threading
import time
from concurrent.futures import Future, wait
from pathlib import Path

import pytest

from base.errors import Failure
from tests.shards.datasets import spoilt
from tests.train.runs import make_dataset, model_settings, one_good_view, train_settings
from tests.train.test_loop import Said, Stopped, own_sigterm
from train import driver as module
from train.driver import STOP, RankMessages, RankProgress, is_stop_requested, run_until_stopped
from train.ray_train import RankTask, _follow_log, run_task


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def until_asked(out: Path) -> None:
    while not is_stop_requested(out):
        time.sleep(0.01)


def for_ever() -> None:
    threading.Event().wait()


def test_signal_stops_ranks_then_takes_effect(tmp_path: Path) -> None:
    out, did = tmp_path / "out", []

    def work() -> None:
        did.append("began")
        terminate()
        until_asked(out)
        did.append("saved")

    with own_sigterm(), pytest.raises(Stopped):
        run_until_stopped(work, out)
    assert did == ["began", "saved"]
    assert list(out.iterdir()) == []


def test_what_an_earlier_driver_left_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / STOP).touch()
    asked: list[bool] = []
    run_until_stopped(lambda: asked.append(is_stop_requested(tmp_path)), tmp_path)
    assert asked == [False]


def test_driver_waits_no_longer_than_the_grace_period(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GRACE_S", 0.2)

    def work() -> None:
        terminate()
        for_ever()

    with own_sigterm(), pytest.raises(Stopped):
        run_until_stopped(work, tmp_path)
    assert not is_stop_requested(tmp_path)


def test_a_second_signal_ends_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GRACE_S", 600.0)

    def work() -> None:
        terminate()
        until_asked(tmp_path)
        terminate()
        for_ever()

    graces: list[str] = []

    def waited(futures: list[Future[object]], timeout_s: float) -> None:
        graces.extend(["began"] * (timeout_s == module.GRACE_S))
        wait(futures, timeout_s)
        graces.extend(["over"] * (timeout_s == module.GRACE_S))

    monkeypatch.setattr(module, "wait", waited)
    with own_sigterm(), pytest.raises(Stopped):
        run_until_stopped(work, tmp_path)
    assert graces == ["began"]
    assert not is_stop_requested(tmp_path)


def test_what_goes_wrong_while_ranks_stop_is_told(tmp_path: Path) -> None:
    def work() -> None:
        terminate()
        until_asked(tmp_path)
        raise Failure("the disk is full")

    with own_sigterm(), pytest.raises(Failure, match="the disk is full"):
        run_until_stopped(work, tmp_path)


def test_what_ranks_say_is_heard_once_and_whole(tmp_path: Path) -> None:
    RankProgress(tmp_path, 0).say("to an earlier driver")
    heard = RankMessages(tmp_path)
    assert list(heard.lines()) == []
    RankProgress(tmp_path, 1).say("a line\nthat was two")
    RankProgress(tmp_path, 0).say("änother")
    assert list(heard.lines()) == ["änother", "a line that was two"]
    with (tmp_path / "said" / "1.log").open("ab") as stream:
        stream.write("hälf".encode()[:2])
        stream.flush()
        assert list(heard.lines()) == []
        stream.write("hälf".encode()[2:] + b"\n")
    assert list(heard.lines()) == ["hälf"]


def test_what_cannot_be_said_is_told(tmp_path: Path) -> None:
    (tmp_path / "said").touch()
    with pytest.raises(Failure, match=r"said/3.log: could not write: "):
        RankProgress(tmp_path, 3).say("a line")


def test_a_rank_elsewhere_names_what_it_passes_over(tmp_path: Path) -> None:
    storage = spoilt(make_dataset(tmp_path / "sound"), tmp_path / "dataset", "train", one_good_view)
    settings = train_settings(images=8, batch=8, stream={"damaged_samples": 1})
    out, said = tmp_path / "out", Said()
    out.mkdir()
    with _follow_log(out, settings, said):
        task = RankTask(model_settings(), settings, storage.root, str(out), str(tmp_path / "nowhere"), sampling=None)
        run_task({"task": task})
    (line,) = said.lines
    assert re.match(r"passed over, 1 of at most 1: shards/train-.*: object-0: expected at least two good views", line)
