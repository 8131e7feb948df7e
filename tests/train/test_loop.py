"""Training as a whole: exact resume, clean stops, held-out views, and failures that name what is wrong."""

import json
import os
import re
import resource
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from base.errors import Failure, UsageError
from base.progress import SILENT, Task
from base.storage import Storage
from shards.version import read_version
from tests.forked import Forked
from tests.shards.datasets import spoilt
from tests.train.ranks import main
from tests.train.runs import make_dataset, model_settings, one_good_view, train, train_settings
from train import step
from train.batch import Batch
from train.cache import CacheJob, cache_latents
from train.collate import CollatedPairs
from train.ema import Ema
from train.interrupt import Interrupt
from train.log import read_log
from train.optimiser import make_optimiser
from train.page import NAME
from train.spec import TrainSummary
from train.state import Learner, finished_checkpoints, load_learner, read_position
from zero123.build import build_pipeline
from zero123.pipeline import Zero123Pipeline
from zero123.trained import trained_parameters

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Storage:
    return make_dataset(tmp_path_factory.mktemp("train") / "dataset")


@pytest.fixture(scope="module")
def whole(storage: Storage, tmp_path_factory: pytest.TempPathFactory) -> TrainSummary:
    """64 images without a stop."""
    return train(model_settings(), train_settings(), storage, tmp_path_factory.mktemp("whole"), SILENT)


class Nudge:
    """Progress that calls `act` once `at` images are counted."""

    def __init__(self, at: int, act: object) -> None:
        self.at, self.act = at, act

    def task(self, name: str, *, total: float, unit: str, done: float = 0) -> Task:
        silent = SILENT.task(name, total=total, unit=unit, done=done)
        count = done

        def advance(amount: float = 1, *, note: str = "") -> None:
            nonlocal count
            count += amount
            if count == self.at:
                self.act()  # type: ignore[operator]

        silent.advance = advance  # type: ignore[method-assign]
        return silent

    def say(self, line: str) -> None:
        raise AssertionError(line)


class Said:
    """Progress that keeps what it is told to say."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.task = SILENT.task

    def say(self, line: str) -> None:
        self.lines.append(line)


class Stopped(BaseException):
    """What the tests' own SIGTERM handler raises."""


@contextmanager
def own_sigterm() -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        raise Stopped

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def same_state(one: Path, other: Path) -> None:
    """Every tensor of two checkpoints is equal bit for bit, and so is every other fact but the seconds."""
    files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(other) for path in other.rglob("*") if path.is_file())
    for name in files:
        if name.suffix == ".safetensors":
            a, b = load_file(one / name), load_file(other / name)
            assert a.keys() == b.keys()
            assert all(torch.equal(a[key], b[key]) for key in a), name
        elif name.name == "state.json":
            a, b = (json.loads((folder / name).read_text()) | {"seconds": 0} for folder in (one, other))
            assert a == b
        else:
            assert (one / name).read_bytes() == (other / name).read_bytes(), name


def test_n_images_and_n_more_equal_2n_bit_for_bit(storage: Storage, whole: TrainSummary, tmp_path: Path) -> None:
    first = train(model_settings(), train_settings(images=32), storage, tmp_path, SILENT)
    assert first.images == 32
    second = train(model_settings(), train_settings(), storage, tmp_path, SILENT)
    assert (second.images, second.checkpoint.name) == (64, "0000000064")
    same_state(whole.checkpoint, second.checkpoint)
    assert [row.images for row in second.log] == [16, 32, 48, 64]
    assert second.loss_curve == whole.loss_curve


def test_resumed_run_equals_uninterrupted_in_channels_last(storage: Storage, tmp_path: Path) -> None:
    settings = train_settings(compute={"channels_last": True})
    whole, _, second = (
        train(model_settings(), settings.model_copy(update={"images": images}), storage, tmp_path / out, SILENT)
        for images, out in ((32, "whole"), (16, "parts"), (32, "parts"))
    )
    same_state(whole.checkpoint, second.checkpoint)


def test_loaded_moments_match_the_optimiser_layout(whole: TrainSummary) -> None:
    """A device without memory stands for one that is not the CPU: there too nothing may lie elsewhere."""
    pipeline = build_pipeline(model_settings(), 0)
    pipeline.unet.to(memory_format=torch.channels_last)
    parameters = {name: nn.Parameter(value.to("meta")) for name, value in trained_parameters(pipeline).items()}
    optimiser = make_optimiser(parameters, train_settings().optimiser)
    load_learner(whole.checkpoint, Learner(parameters, optimiser, Ema(parameters, 0.9)))
    for parameter in parameters.values():
        count, *moments = optimiser.state[parameter].values()
        assert {tensor.device for tensor in (count, *moments)} == {parameter.device}
        assert [moment.stride() for moment in moments] == [parameter.stride()] * 2
    strides = {name: value.stride() for name, value in parameters.items() if value.dim() == 4}
    assert any(stride[1] == 1 < stride[-1] for stride in strides.values())


def test_sigterm_saves_and_the_same_call_finishes_bit_for_bit(
    storage: Storage, whole: TrainSummary, tmp_path: Path
) -> None:
    terminate = Nudge(24, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with own_sigterm(), pytest.raises(Stopped):
        train(model_settings(), train_settings(), storage, tmp_path, terminate)
    assert [folder.name for folder in finished_checkpoints(tmp_path)] == ["0000000024"]
    same_state(whole.checkpoint, train(model_settings(), train_settings(), storage, tmp_path, SILENT).checkpoint)


def test_ctrl_c_saves_and_is_still_ctrl_c(storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(
            model_settings(), train_settings(), storage, tmp_path, Nudge(8, lambda: signal.raise_signal(signal.SIGINT))
        )
    assert [folder.name for folder in finished_checkpoints(tmp_path)] == ["0000000008"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ignored_ctrl_c_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupt() as interrupt:
            signal.raise_signal(signal.SIGINT)
        assert not interrupt.requested
    finally:
        signal.signal(signal.SIGINT, before)


def test_crash_resumes_from_the_last_checkpoint(storage: Storage, whole: TrainSummary, tmp_path: Path) -> None:
    def crash() -> None:
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        train(model_settings(), train_settings(), storage, tmp_path, Nudge(56, crash))
    assert [row.images for row in read_log(tmp_path / "log.jsonl")] == [16, 32, 48]
    for cut in ("0000000064", "0000000050"):
        (tmp_path / "checkpoints" / f".tmp-{cut}" / "unet").mkdir(parents=True)
    again = train(model_settings(), train_settings(), storage, tmp_path, SILENT)
    same_state(whole.checkpoint, again.checkpoint)
    assert [row.images for row in again.log] == [16, 32, 48, 64]
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["0000000032", "0000000064"]


def test_a_checkpoint_that_is_half_removed_is_none(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_folder: Path) -> None:
        raise KeyboardInterrupt

    settings = train_settings(images=24, checkpoint_every_images=8)
    with monkeypatch.context() as patched:
        patched.setattr("train.state.shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            train(model_settings(), settings, storage, tmp_path, SILENT)
    assert [path.name for path in finished_checkpoints(tmp_path)] == ["0000000016", "0000000024"]
    train(model_settings(), settings.model_copy(update={"images": 32}), storage, tmp_path, SILENT)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["0000000024", "0000000032"]


def test_a_finished_run_does_nothing_more(storage: Storage, whole: TrainSummary) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.checkpoint.rglob("*")}
    again = train(model_settings(), train_settings(), storage, whole.checkpoint.parents[1], SILENT)
    assert again == whole
    assert before == {path: path.stat().st_mtime_ns for path in whole.checkpoint.rglob("*")}


def test_accumulation_and_memo_change_nothing(storage: Storage, whole: TrainSummary, tmp_path: Path) -> None:
    changed = train_settings(images_at_once=8, latent_memo_mb=0)
    other = train(model_settings(), changed, storage, tmp_path, SILENT)
    a, b = (load_file(run.checkpoint / "training_state" / "weights.safetensors") for run in (whole, other))
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=1e-3, atol=1e-4)


def test_a_batch_need_not_be_a_multiple_of_what_fits_at_once(
    storage: Storage, whole: TrainSummary, tmp_path: Path
) -> None:
    other = train(model_settings(), train_settings(images_at_once=3), storage, tmp_path, SILENT)
    a, b = (load_file(run.checkpoint / "training_state" / "weights.safetensors") for run in (whole, other))
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=1e-3, atol=1e-4)


def test_sigkill_loses_only_what_came_after_the_last_checkpoint(
    storage: Storage, whole: TrainSummary, tmp_path: Path
) -> None:
    run = Forked(main, storage.root, str(tmp_path), '{"images": 100000}')
    try:
        while not finished_checkpoints(tmp_path) and run.poll() is None:
            time.sleep(0.02)
    finally:
        run.kill()
    assert run.wait() == -signal.SIGKILL
    images = int(finished_checkpoints(tmp_path)[-1].name)
    one, other = (
        train(model_settings(), train_settings(images=images + 32), storage, out, SILENT).checkpoint
        for out in (tmp_path, tmp_path / "whole")
    )
    same_state(one, other)


def test_how_the_device_computes_changes_rounding_alone(storage: Storage, whole: TrainSummary, tmp_path: Path) -> None:
    compute = {"precision": "bf16", "channels_last": True, "gradient_checkpointing": True, "ahead": 7}
    # A quarter of the run: processors without bfloat16 take ten times as long for it.
    other = train(model_settings(), train_settings(images=16, compute=compute), storage, tmp_path, SILENT)
    assert other.log[-1].loss == pytest.approx(whole.log[0].loss, rel=0.05)
    assert read_position(other.checkpoint).images == whole.log[0].images == 16
    weights = load_file(other.checkpoint / "training_state" / "weights.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore")  # the compiler warns of its own doings
def test_compiled_it_learns_the_same_in_one_graph(storage: Storage, whole: TrainSummary, tmp_path: Path) -> None:
    from torch._dynamo.utils import counters

    settings = train_settings(compute={"compile": True}, validation={"every_images": 64})
    compiled = train(model_settings(), settings, storage, tmp_path, SILENT)
    for row, same in zip(compiled.log, whole.log, strict=True):
        assert row.loss == pytest.approx(same.loss, rel=1e-3)
    assert not counters["graph_break"]


def test_the_legacy_average_leaves_the_projection_as_trained(storage: Storage, tmp_path: Path) -> None:
    done = train(model_settings(), train_settings(images=16, ema={"projection": False}), storage, tmp_path, SILENT)
    raw = load_file(done.checkpoint / "training_state" / "weights.safetensors")
    pipeline = Zero123Pipeline.from_pretrained(done.checkpoint)
    assert torch.equal(pipeline.cc_projection.projection.weight, raw["cc_projection.projection.weight"])
    assert not torch.equal(pipeline.unet.conv_in.weight, raw["unet.conv_in.weight"])


def explode(monkeypatch: pytest.MonkeyPatch, numbers: range) -> None:
    """Have the targets of some pairs be ten thousand times too large from now on."""
    real = step.make_batch

    def exploding(pipeline: Zero123Pipeline, pairs: CollatedPairs, *rest: Any, **named: Any) -> Batch:
        batch = real(pipeline, pairs, *rest, **named)
        return replace(batch, target=batch.target * 1e4) if pairs.numbers[0] in numbers else batch

    monkeypatch.setattr(step, "make_batch", exploding)


def test_an_exploding_step_is_skipped_and_counted(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that goes on with one knows from its checkpoint what is usual."""
    explode(monkeypatch, range(32, 40))
    said = Said()
    whole, first, second = (
        train(model_settings(), train_settings(images=images), storage, tmp_path / out, said).checkpoint
        for images, out in ((64, "whole"), (32, "parts"), (64, "parts"))
    )
    same_state(whole, second)
    position = read_position(second)
    assert position.images == 64
    assert position.steps == 7
    assert position.skipped == 1
    assert position.in_a_row == 0
    usual = read_position(first).usual_norm
    assert usual
    assert len(said.lines) == 2
    for line in said.lines:
        told = re.search(r"gradient (\S+) where (\S+) is usual before 40 images, .*; step skipped, 1 so far", line)
        assert told
        assert float(told[1]) > 100 * usual
        assert float(told[2]) == pytest.approx(usual, rel=1e-2)


def test_exploding_steps_are_skipped_and_stop_the_run(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all is skipped the log has a row without a loss."""
    before = train(model_settings(), train_settings(images=16), storage, tmp_path, SILENT).checkpoint
    explode(monkeypatch, range(16, 128))
    settings = train_settings(images=32, log={"tensorboard": True})
    done = train(model_settings(), settings, storage, tmp_path, Said())
    a, b = (load_file(one / "training_state" / "weights.safetensors") for one in (before, done.checkpoint))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert [(row.images, row.loss is None, row.gradient_norm is None, row.skipped) for row in done.log] == [
        (16, False, False, 0), (32, True, True, 2),
    ]  # fmt: skip
    assert done.log[1].images_per_s > 0
    assert [images for images, _ in done.loss_curve] == [16]
    page = (tmp_path / NAME).read_text()
    assert "—" in page
    assert "loss at the end" in page
    with pytest.raises(Failure, match="3 steps in a row were skipped"):
        train(model_settings(), train_settings(), storage, tmp_path, Said())


def test_no_step_of_a_healthy_run_comes_near_to_exploding(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares: list[float] = []
    real = step.Stepper.take

    def spied(*words: Any) -> step.Step:
        found = real(*words)
        shares.append(found.norm / words[-1])
        return found

    monkeypatch.setattr(step.Stepper, "take", spied)
    optimiser = {"clip_norm": None, "warmup_images": 0}
    train(model_settings(), train_settings(images=256, optimiser=optimiser), storage, tmp_path, SILENT)
    assert len(shares) == 32
    assert max(shares) < 0.1


def test_the_checkpoint_is_a_pipeline_with_the_averaged_weights(whole: TrainSummary) -> None:
    pipeline = Zero123Pipeline.from_pretrained(whole.checkpoint)
    raw = load_file(whole.checkpoint / "training_state" / "weights.safetensors")
    averaged = dict(pipeline.cc_projection.named_parameters())["projection.weight"]
    assert not torch.equal(averaged, raw["cc_projection.projection.weight"])
    rgba = np.full((32, 32, 4), 255, np.uint8)
    views = pipeline.views(rgba, [[0.1, 0.0, 1.0, 0.0]], guidance_scale=2.0, steps=2, eta=0.0, seeds=[0])
    assert views.shape == (1, 32, 32, 3)


def test_it_learns(storage: Storage, tmp_path: Path) -> None:
    settings = train_settings(images=2048, batch=32, images_at_once=32, log_every_images=512, keep_checkpoints=1)
    curve = [loss for _, loss in train(model_settings(), settings, storage, tmp_path, SILENT).loss_curve]
    assert curve[-1] < 0.7 * curve[0]


def test_held_out_views_are_never_drawn(storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[int] = set()
    real = step.make_batch

    def spied(pipeline: Zero123Pipeline, pairs: CollatedPairs, *rest: Any, **named: Any) -> Batch:
        seen.update(view for keys in pairs.keys for _, view in keys)
        return real(pipeline, pairs, *rest, **named)

    monkeypatch.setattr(step, "make_batch", spied)
    train(model_settings(), train_settings(images=128), storage, tmp_path, SILENT)
    assert seen == set(range(10))


def test_nan_loss_stops_the_run_and_names_the_pairs(storage: Storage, tmp_path: Path) -> None:
    settings = train_settings(optimiser={"learning_rate": 1.0, "clip_norm": None, "projection_factor": 1e30})
    said = Said()
    with pytest.raises(Failure, match=r"loss nan .*object-\d \d+→\d+ \(number \d+\).*; 3 steps in a row were skipped"):
        train(model_settings(), settings, storage, tmp_path, said)
    assert [line.rpartition(";")[2] for line in said.lines] == [f" step skipped, {n} so far" for n in (1, 2)]
    assert finished_checkpoints(tmp_path) == []


def test_a_full_disk_leaves_the_older_checkpoint_and_says_so(storage: Storage, tmp_path: Path) -> None:
    train(model_settings(), train_settings(images=32), storage, tmp_path, SILENT)
    before = {path: path.read_bytes() for path in finished_checkpoints(tmp_path)[0].rglob("*") if path.is_file()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(Failure, match=r"0000000064: could not write the checkpoint: .*File too large"):
            train(model_settings(), train_settings(checkpoint_every_images=64), storage, tmp_path, SILENT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["0000000032"]
    assert before == {
        path: path.read_bytes() for path in finished_checkpoints(tmp_path)[0].rglob("*") if path.is_file()
    }
    assert train(model_settings(), train_settings(), storage, tmp_path, SILENT).images == 64


@pytest.mark.parametrize(
    "change",
    [{"images": "x"}, {"images": 32.5}, {"seconds": None}, {"settings": []}, {"score": "high"}, {"strangers": 1}],
)
def test_a_training_state_of_other_types_is_told(whole: TrainSummary, tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "training_state" / "state.json"
    path.parent.mkdir()
    path.write_text(json.dumps(json.loads((whole.checkpoint / "training_state" / "state.json").read_text()) | change))
    with pytest.raises(Failure, match=r"training_state/state.json: expected a training state of this program"):
        read_position(tmp_path)


@pytest.mark.parametrize(
    ("file", "name", "shape", "sentence"),
    [
        ("weights", "unet.conv_in.bias", [1], r"unet.conv_in.bias: expected shape \[8\], got \[1\]"),
        ("optimiser", "unet.conv_in.bias.exp_avg", [1], r"conv_in.bias.exp_avg: expected shape \[8\], got \[1\]"),
        ("optimiser", "unet.conv_in.bias.step", [8], r"conv_in.bias.step: expected shape \[\], got \[8\]"),
    ],
)
def test_a_training_state_of_other_shapes_is_told(
    storage: Storage, whole: TrainSummary, tmp_path: Path, file: str, name: str, shape: list[int], sentence: str
) -> None:
    folder = tmp_path / "checkpoints" / whole.checkpoint.name
    shutil.copytree(whole.checkpoint, folder)
    path = folder / "training_state" / f"{file}.safetensors"
    save_file(load_file(path) | {name: torch.ones(shape)}, path)
    with pytest.raises(Failure, match=rf"training_state/{file}.safetensors: .*{sentence}"):
        train(model_settings(), train_settings(images=72), storage, tmp_path, SILENT)


@pytest.mark.parametrize(
    ("model", "changes", "sentence"),
    [
        ({"hw": [64, 64]}, {}, r"model.hw: expected the dataset's view size \[32, 32\], got \[64, 64\]"),
        ({}, {"held_out_views": 11}, r"train.held_out_views: expected at least 2 of the dataset's 12 views .*, got 11"),
        ({}, {"pairs_per_visit": 6}, r"train.pairs_per_visit: expected at most 5, .* of the 10 views .*, got 6"),
    ],
)
def test_settings_that_do_not_fit_the_dataset(
    storage: Storage, tmp_path: Path, model: dict, changes: dict, sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        train(model_settings(**model), train_settings(**changes), storage, tmp_path, SILENT)


def test_a_run_is_not_taken_up_with_other_settings(storage: Storage, whole: TrainSummary) -> None:
    out = whole.checkpoint.parents[1]
    with pytest.raises(UsageError, match=r"train.batch: expected 8, with which the run in .* began, got 16"):
        train(model_settings(), train_settings(batch=16, images_at_once=16), storage, out, SILENT)
    with pytest.raises(UsageError, match=r"model.unet.channels: expected \[8, 16\]"):
        train(model_settings(unet={"channels": [16, 16]}), train_settings(), storage, out, SILENT)


def test_a_run_that_goes_on_counts_damaged_samples_anew(storage: Storage, tmp_path: Path) -> None:
    there, said = spoilt(storage, tmp_path / "dataset", "train", one_good_view), Said()
    for images in (32, 64):
        settings = train_settings(images=images, stream={"damaged_samples": 1})
        train(model_settings(), settings, there, tmp_path / "out", said)
    once = "passed over, 1 of at most 1"
    assert [line.partition(":")[0] for line in said.lines] == [once, once]


def test_cosine_run_keeps_its_last_image(storage: Storage, tmp_path: Path) -> None:
    falling, out = train_settings(images=32, optimiser={"decay": "cosine"}), tmp_path / "parts"
    with own_sigterm(), pytest.raises(Stopped):
        train(model_settings(), falling, storage, out, Nudge(16, lambda: os.kill(os.getpid(), signal.SIGTERM)))
    told = (
        r"train.images: expected 32, with which the run in .* began and where its rate falls to 0, got 64; use another"
    )
    with pytest.raises(UsageError, match=told):
        train(model_settings(), falling.model_copy(update={"images": 64}), storage, out, SILENT)
    with pytest.raises(UsageError, match=r"train.optimiser.decay: expected 'cosine', .* began, got 'constant'"):
        train(model_settings(), train_settings(), storage, out, SILENT)
    again = train(model_settings(), falling, storage, out, SILENT)
    same_state(again.checkpoint, train(model_settings(), falling, storage, tmp_path / "whole", SILENT).checkpoint)


def test_run_refuses_other_shards_of_the_same_version(storage: Storage, tmp_path: Path) -> None:
    """The same shards elsewhere, with latents beside them, are the same dataset."""
    out, mirror = tmp_path / "out", Storage(tmp_path / "mirror")
    train(model_settings(), train_settings(images=32), storage, out, SILENT)
    other = make_dataset(tmp_path / "other", objects=3)
    with pytest.raises(UsageError, match=r"storage.root: .* began, got other shards in version 1 of .*/other; use an"):
        train(model_settings(), train_settings(), other, out, SILENT)
    shutil.copytree(storage.root, mirror.root)
    cache_latents(CacheJob(mirror, read_version(mirror), model_settings(), 0, "cpu", 1), 1, SILENT)
    assert train(model_settings(), train_settings(images=40), mirror, out, SILENT).images == 40


def test_old_run_without_dataset_digest_resumes(storage: Storage, tmp_path: Path) -> None:
    path = train(model_settings(), train_settings(images=8), storage, tmp_path, SILENT).checkpoint
    marker = path / "training_state" / "state.json"
    state = json.loads(marker.read_text())
    assert state.pop("dataset") == read_version(storage).digest
    marker.write_text(json.dumps(state))
    assert read_position(path).dataset == ""
    done = train(model_settings(), train_settings(images=16), storage, tmp_path, SILENT)
    assert read_position(done.checkpoint).dataset == read_version(storage).digest
