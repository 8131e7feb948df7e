"""What a run does beside its steps: validation, the best checkpoint, uploads, trackers, its page."""

import errno
import re
import shutil
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tensorboardX.proto.event_pb2 import Event, SessionLog

from base.errors import Failure, UsageError
from base.progress import SILENT
from base.retry import Retry, say_nothing
from base.storage import Storage
from evaluation.metrics import psnr, ssim
from shards.damage import DamagedSample
from shards.reader import range_reader
from shards.sample import Sample
from shards.version import read_version
from tests.shards.datasets import spoilt
from tests.shards.far import served
from tests.train.rows import row
from tests.train.runs import cut_view, make_dataset, model_settings, one_good_view, small_view, train, train_settings
from tests.train.test_loop import Nudge, Said, Stopped, own_sigterm, same_state
from train import upload, validation
from train.page import NAME, write_page
from train.settings import LogSettings
from train.spec import TrainSummary
from train.state import best_checkpoint, finished_checkpoints, read_position
from train.trackers import TENSORBOARD, trackers_for
from train.upload import WAITING, Uploader, fetch_newest, remote_checkpoints, upload_newest
from train.validation import ScoredView, Validation, ValidationScore, grid_path, held_out_samples, read_scores
from zero123.pipeline import Zero123Pipeline

WATCHED: dict[str, Any] = {
    "validation": {"every_images": 16}, "log": {"tensorboard": True}, "checkpoint_every_images": 16,
    "keep_checkpoints": 1, "optimiser": {"learning_rate": 0.05},
}  # fmt: skip

IMPATIENT = Retry(0.0, say_nothing, threading.Event())


def held(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Storage:
    return make_dataset(tmp_path_factory.mktemp("beside") / "dataset", val=2)


@pytest.fixture(scope="module")
def watched(storage: Storage, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrainSummary]:
    """64 images, validated every 16, with all there is to be written, uploaded to a folder."""
    out = tmp_path_factory.mktemp("watched")
    settings = train_settings(**WATCHED, upload=str(out / "store"))
    return out, train(model_settings(), settings, storage, out, SILENT)


def test_the_same_views_are_sampled_each_time_and_scored(watched: tuple[Path, TrainSummary]) -> None:
    out, _ = watched
    scores = read_scores(out)
    assert [score.images for score in scores] == [16, 32, 48, 64]
    assert {score.views for score in scores} == {4}
    assert all(grid_path(out, score.images).is_file() for score in scores)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (cut_view, r"\.11\.webp: expected a whole WebP"),
        (small_view, r"\.11\.webp: expected 32×32 pixels, got 16×16"),
        (one_good_view, ": expected at least two good views"),
    ],
)
def test_validation_skips_damaged_objects(
    storage: Storage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[dict[str, bytes]], None],
    problem: str,
) -> None:
    seen: set[str] = set()
    real = Validation.record

    def spied(kept: Validation, images: int, scored: list[ScoredView]) -> ValidationScore:
        seen.update(one.uid for one in scored)
        return real(kept, images, scored)

    monkeypatch.setattr(Validation, "record", spied)
    there, out = spoilt(storage, tmp_path / "dataset", "val", change), tmp_path / "out"
    asked: dict[str, Any] = {"images": 8, "validation": {"every_images": 8, "objects": 1}}
    with pytest.raises(Failure, match=rf"shards/val-.*: val-0-0{problem}"):
        train(model_settings(), train_settings(**asked), there, out, SILENT)
    assert not finished_checkpoints(out)
    said = Said()
    train(model_settings(), train_settings(**asked, stream={"damaged_samples": 1}), there, out, said)
    (line,) = said.lines
    assert re.match(rf"passed over, 1 of at most 1: shards/val-.*: val-0-0{problem}", line)
    assert seen == {"val-0-1"}


def test_a_split_without_a_sound_object_is_told(storage: Storage, tmp_path: Path) -> None:
    there = Storage(storage.root)
    version = replace(read_version(there), hw=(16, 16))
    damages: list[DamagedSample] = []
    with pytest.raises(Failure, match=r"train.validation: expected a sound object in split 'val', got nothing"):
        held_out_samples(version, range_reader(there), 1, damages.append)
    assert [damage.uid for damage in damages] == ["val-0-0", "val-0-1"]


def test_validation_that_fails_loses_no_checkpoint(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> list[ScoredView]:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(Validation, "sample_views", full)
    with pytest.raises(torch.OutOfMemoryError):
        train(model_settings(), train_settings(**WATCHED | {"log": {}}), storage, tmp_path, SILENT)
    assert [folder.name for folder in finished_checkpoints(tmp_path)] == ["0000000016"]


def test_validation_is_left_when_training_is_asked_to_stop(
    storage: Storage, watched: tuple[Path, TrainSummary], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state is saved without a score, and goes on to what a run without a stop learns."""
    real, seen = validation._sample_object, []

    def terminated(pipeline: Zero123Pipeline, sample: Sample, *rest: Any) -> Iterator[ScoredView]:
        seen.append(sample.uid)
        signal.raise_signal(signal.SIGTERM)
        return real(pipeline, sample, *rest)

    settings = train_settings(**WATCHED | {"log": {}})
    with monkeypatch.context() as patched:
        patched.setattr(validation, "_sample_object", terminated)
        with own_sigterm(), pytest.raises(Stopped):
            train(model_settings(), settings, storage, tmp_path, SILENT)
    assert seen == ["val-0-0"]
    (checkpoint,) = finished_checkpoints(tmp_path)
    assert (read_position(checkpoint).images, read_position(checkpoint).score) == (16, None)
    assert read_scores(tmp_path) == []
    assert not grid_path(tmp_path, 16).exists()
    _, whole = watched
    same_state(whole.checkpoint, train(model_settings(), settings, storage, tmp_path, SILENT).checkpoint)
    assert [score.images for score in read_scores(tmp_path)] == [32, 48, 64]


def test_the_scores_are_those_of_the_evaluation() -> None:
    rng = np.random.default_rng(0)
    true, sampled = rng.integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    one = ScoredView("mug", 0, 1, true, true, sampled)
    assert one.psnr_db == pytest.approx(psnr(sampled, true))
    assert one.ssim == pytest.approx(ssim(sampled, true))
    assert ScoredView("mug", 0, 1, true, true, true).psnr_db == 100.0


def test_the_newest_and_the_best_checkpoint_are_kept(watched: tuple[Path, TrainSummary]) -> None:
    out, done = watched
    scores = {score.images: score.psnr_db for score in read_scores(out)}
    wanted = {64, max(scores, key=lambda images: scores[images])}
    kept = finished_checkpoints(out)
    assert {int(folder.name) for folder in kept} == wanted
    assert best_checkpoint(kept) == next(
        folder for folder in kept if int(folder.name) == max(scores, key=scores.__getitem__)
    )
    assert read_position(done.checkpoint).score == pytest.approx(scores[64])


@pytest.mark.parametrize(("scores", "kept"), [((9, 5, 7, 6), (16, 64)), ((7, 5, 9, 6), (48, 64))])
def test_an_older_best_outlives_newer_ones_until_a_better_comes(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scores: tuple[int, ...], kept: tuple[int, ...]
) -> None:
    worth = iter(scores)
    monkeypatch.setattr(ScoredView, "psnr_db", property(lambda _: current[0]))
    current = [0.0]
    real = Validation.record
    monkeypatch.setattr(Validation, "record", lambda *words: (current.__setitem__(0, next(worth)), real(*words))[1])
    store = str(tmp_path / "store")
    train(model_settings(), train_settings(**WATCHED | {"log": {}, "upload": store}), storage, tmp_path / "run", SILENT)
    fetch_newest(store, tmp_path / "elsewhere", IMPATIENT)
    for disk in ("run", "elsewhere"):
        assert tuple(int(folder.name) for folder in finished_checkpoints(tmp_path / disk)) == kept


def test_the_page_shows_the_share_of_a_known_peak(tmp_path: Path) -> None:
    write_page(tmp_path, [replace(row(images, 0.5), mfu=0.25) for images in (8, 16)], [], {})
    page = (tmp_path / NAME).read_text()
    assert "25.0% of the device’s peak" in page
    assert "Share of the device’s peak that went into the model (MFU)" in page


def test_the_page_and_tensorboard_tell_what_the_log_tells(watched: tuple[Path, TrainSummary]) -> None:
    out, done = watched
    page = (out / NAME).read_text()
    assert f"{done.log[-1].loss:.4f}" in page
    assert "Loss by part of the schedule" in page
    assert "Learning rate of the projection" in page
    assert "(MFU)" not in page
    assert page.count("data:image/webp") == 1
    events = b"".join(path.read_bytes() for path in (out / TENSORBOARD).iterdir())
    for name in (
        b"train/loss",
        b"train/data_wait",
        b"loss_by_timestep/3",
        b"validation/psnr_db",
        b"train/projection_rate",
    ):
        assert name in events
    row = done.log[-1]
    assert row.projection_rate == pytest.approx(10 * row.learning_rate)
    known = [value for value in row.loss_by_timestep if value is not None]
    assert min(known) <= row.loss <= max(known)


def shown_by_tensorboard(folder: Path, name: str) -> list[int]:
    """The steps of a value, as TensorBoard reads them: where a session starts, what has its step or a later one goes.

    A record is its length (8 bytes), 4 bytes, an event and 4 bytes.
    """
    steps: list[int] = []
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack_from("<Q", data)
            event, data = Event.FromString(data[12 : 12 + length]), data[16 + length :]
            if event.session_log.status == SessionLog.START:
                steps = [step for step in steps if step < event.step]
            steps += [event.step for value in event.summary.value if value.tag == name]
    return steps


def test_tensorboard_purges_lost_steps(storage: Storage, tmp_path: Path) -> None:
    def crash() -> None:
        raise RuntimeError("power cut")

    settings = train_settings(log={"tensorboard": True})
    with pytest.raises(RuntimeError, match="power cut"):
        train(model_settings(), settings, storage, tmp_path, Nudge(56, crash))
    assert shown_by_tensorboard(tmp_path / TENSORBOARD, "train/loss") == [16, 32, 48]
    train(model_settings(), settings, storage, tmp_path, SILENT)
    assert len(list((tmp_path / TENSORBOARD).iterdir())) == 2
    assert shown_by_tensorboard(tmp_path / TENSORBOARD, "train/loss") == [16, 32, 48, 64]


def test_the_store_holds_what_the_disk_holds_and_replaces_it(
    storage: Storage, watched: tuple[Path, TrainSummary], tmp_path: Path
) -> None:
    out, done = watched
    store = Storage(out / "store")
    assert remote_checkpoints(store) == [folder.name for folder in finished_checkpoints(out)]
    fetch_newest(store.root, tmp_path, IMPATIENT)
    assert held(finished_checkpoints(tmp_path)[-1]) == held(done.checkpoint)
    settings = train_settings(**WATCHED, upload=str(out / "store"), images=80)
    again = train(model_settings(), settings, storage, tmp_path / "elsewhere", SILENT)
    assert [row.images for row in again.log] == [80]


@pytest.mark.slow
def test_a_store_that_is_away_is_waited_for_during_a_fetch(
    watched: tuple[Path, TrainSummary], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "PART_BYTES", 4096)
    told: list[str] = []
    with served(watched[0] / "store") as far:
        answer = far.answer

        def away_twice(request: BaseHTTPRequestHandler) -> None:
            parts = sum(bool(span) for _, span in far.asked)
            far.away = 503 if not told or (len(told) == 1 and parts > 8) else 0
            answer(request)

        far.lists, far.answer = True, away_twice  # type: ignore[method-assign]
        retry = Retry(60.0, say_nothing, threading.Event())
        monkeypatch.setattr(retry, "_report", told.append)
        fetch_newest(far.address, tmp_path, retry)
    assert held(finished_checkpoints(tmp_path)[-1]) == held(finished_checkpoints(watched[0] / "store")[-1])
    assert [line.partition(" http")[0] for line in told] == ["could not look for", "could not read"]


def test_a_store_that_stays_away_is_no_reason_to_begin_anew(storage: Storage, tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        target = f"http://127.0.0.1:{nobody.getsockname()[1]}/run"
        settings = train_settings(upload=target, stream={"patience_s": 0.0})
        with pytest.raises(Failure, match=f"could not look for {target}/checkpoints"):
            train(model_settings(), settings, storage, tmp_path, SILENT)
    assert finished_checkpoints(tmp_path) == []


def test_full_disk_during_fetch_raises_failure(
    watched: tuple[Path, TrainSummary], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_path: Path) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("zero123.saving.flush_to_disk", full)
    with pytest.raises(Failure, match=r"could not write the checkpoint: the disk is full"):
        fetch_newest(str(watched[0] / "store"), tmp_path, IMPATIENT)
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_a_name_that_leaves_its_folder_is_not_fetched(
    watched: tuple[Path, TrainSummary], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bucket's keys are any text."""
    (tmp_path / "notes").write_text("mine")
    listed = Storage.names
    monkeypatch.setattr(Storage, "names", lambda *to: [*listed(*to), f"{to[1]}/../../../notes"])
    with pytest.raises(UsageError, match="expected a relative name inside"):
        fetch_newest(str(watched[0] / "store"), tmp_path / "out", IMPATIENT)
    assert (tmp_path / "notes").read_text() == "mine"


def test_half_an_upload_is_no_checkpoint(watched: tuple[Path, TrainSummary], tmp_path: Path) -> None:
    _, done = watched
    half = tmp_path / "store" / "checkpoints" / "0000009999"
    shutil.copytree(done.checkpoint, half)
    (half / "training_state" / "state.json").unlink()
    assert remote_checkpoints(Storage(tmp_path / "store")) == []
    fetch_newest(str(tmp_path / "store"), tmp_path / "out", IMPATIENT)
    assert finished_checkpoints(tmp_path / "out") == []


def test_an_upload_that_fails_is_told_at_the_end(watched: tuple[Path, TrainSummary], tmp_path: Path) -> None:
    _, done = watched
    (tmp_path / "store").write_text("a file where a folder should be")
    uploader = Uploader(str(tmp_path / "store"), tmp_path)
    uploader.add(done.checkpoint)
    with pytest.raises(Failure, match=r"could not write .*store/checkpoints"):
        uploader.close()
    assert list((tmp_path / WAITING).iterdir()) == [], "it would hold the disk of what is forgotten"


def test_failed_upload_is_repeated_by_the_next_call(storage: Storage, tmp_path: Path) -> None:
    settings = train_settings(images=16, upload=str(tmp_path / "store"))
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "checkpoints").write_text("a file where a folder should be")
    with pytest.raises(Failure, match="could not write"):
        train(model_settings(), settings, storage, tmp_path / "out", SILENT)
    (tmp_path / "store" / "checkpoints").unlink()
    done = train(model_settings(), settings, storage, tmp_path / "out", SILENT)
    assert held(finished_checkpoints(tmp_path / "store")[-1]) == held(done.checkpoint)


def test_cut_upload_is_removed_with_its_checkpoint(watched: tuple[Path, TrainSummary], tmp_path: Path) -> None:
    half = tmp_path / "store" / "checkpoints" / "0000000032" / "unet"
    half.mkdir(parents=True)
    (half / "weights.safetensors").write_bytes(b"half")
    shutil.copytree(watched[1].checkpoint, tmp_path / "out" / "checkpoints" / "0000000064")
    upload_newest(str(tmp_path / "store"), tmp_path / "out")
    assert [path.name for path in (tmp_path / "store" / "checkpoints").iterdir()] == ["0000000064"]


def finished(out: Path, images: int) -> Path:
    """What passes for a checkpoint where nothing is loaded."""
    folder = out / "checkpoints" / f"{images:010d}"
    (folder / "training_state").mkdir(parents=True)
    for name in ("weights.safetensors", "training_state/state.json"):
        (folder / name).write_text(f"{images}")
    return folder


def test_store_keeps_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three checkpoints, one is kept on the disk, and the upload of the first outlasts the making of all."""
    out, store = tmp_path / "out", Storage(tmp_path / "store")
    began, go_on = threading.Event(), threading.Event()
    real, there = Storage.put_file, list[tuple[str, list[str]]]()

    def slow(storage: Storage, name: str, source: Path) -> None:
        there.append((name.split("/")[1], remote_checkpoints(store)))
        began.set()
        assert go_on.wait(60)
        real(storage, name, source)

    monkeypatch.setattr(Storage, "put_file", slow)
    uploader = Uploader(store.root, out)
    for images in (1, 2, 3):
        for older in finished_checkpoints(out):
            shutil.rmtree(older)
        uploader.add(finished(out, images))
        assert began.wait(60)
    assert sorted(path.name for path in (out / WAITING).iterdir()) == ["0000000001", "0000000003"]
    go_on.set()
    uploader.close()
    first, last = "0000000001", "0000000003"
    assert there == [(first, []), (first, []), (last, [first]), (last, [first])]
    assert remote_checkpoints(store) == [last]
    assert held(tmp_path / "store" / "checkpoints" / last) == held(finished_checkpoints(out)[-1])
    assert list((out / WAITING).iterdir()) == []


def test_a_store_that_others_clear_gets_the_next_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, store, real = tmp_path / "out", Storage(tmp_path / "store"), Storage.put_file

    def cleared(storage: Storage, name: str, source: Path) -> None:
        real(storage, name, source)
        if "0000000001" in name:
            storage.remove("checkpoints")

    monkeypatch.setattr(Storage, "put_file", cleared)
    uploader = Uploader(store.root, out)
    uploader.add(finished(out, 1))
    uploader.add(finished(out, 2))
    uploader.close()
    assert remote_checkpoints(store) == ["0000000002"]


def test_an_upload_to_no_known_place_is_blamed_on_its_setting(storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^train.upload: expected a folder or a URL, got 's3x://bucket/run'"):
        train(model_settings(), train_settings(upload="s3x://bucket/run"), storage, tmp_path, SILENT)


def test_wandb_is_told_the_same_and_missed_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = LogSettings(tensorboard=False, wandb="views")
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(
        UsageError, match=r"train.log.wandb: expected the package wandb \(pip install wandb\), got nothing"
    ):
        trackers_for(settings, tmp_path, {}, 0)
    told: list[dict] = []
    run = SimpleNamespace(log=told.append, finish=lambda: told.append({"finished": True}))
    fake = SimpleNamespace(init=lambda **words: (told.append(words), run)[1], Image=lambda pixels: pixels.shape)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    (tracker,) = trackers_for(settings, tmp_path, {"a": 1}, 0)
    tracker.add_numbers(8, {"train/loss": 0.5})
    tracker.add_picture(8, "validation", np.zeros((2, 3, 3), np.uint8))
    tracker.close()
    assert (told[0]["project"], told[0]["resume"]) == ("views", "allow")
    assert told[1:] == [
        {"train/loss": 0.5, "images": 8}, {"validation": (2, 3, 3), "images": 8}, {"finished": True},
    ]  # fmt: skip
    for folder in (tmp_path, tmp_path / "another"):
        trackers_for(settings, folder, {"a": 1}, 0)
    first, again, another = (words["id"] for words in told if "id" in words)
    assert first == again != another
