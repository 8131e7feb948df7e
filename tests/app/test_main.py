"""The command as a person meets it: help, exit codes, one sentence for each mistake, never a traceback."""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.main import COMMANDS
from tests.forked import run_command, run_forked

ROOT = Path(__file__).parents[2]


def zero123(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "app", *words]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False)


def loaded_zero123(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """The same in a process that has loaded torch before, for commands that need it."""
    return run_forked(run_command, *words, timeout=120, cwd=cwd)


def sentence(done: subprocess.CompletedProcess[str], code: int) -> str:
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.zeros((16, 16, 4), np.uint8)
    pixels[4:12, 4:12] = (200, 60, 60, 255)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_help_names_every_command() -> None:
    done = zero123("--help")
    assert done.returncode == 0
    assert all(name in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_its_settings_flags(command: str) -> None:
    done = zero123(command, "--help")
    assert done.returncode == 0
    # A list needs no settings, and those of a benchmark are its protocol.
    flags = () if command in ("models", "benchmark") else ("--set", "--dry-run", "--preset", "--config")
    assert all(flag in done.stdout for flag in flags)


@pytest.mark.parametrize("command", ["train", "demo"])
def test_dry_run_prints_settings_and_writes_nothing(command: str, tmp_path: Path) -> None:
    done = zero123(command, "--out", "here", "--dry-run", "--set", "render.samples=77", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "samples: 77" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_no_command_and_an_unknown_one_are_usage_errors() -> None:
    assert "COMMAND" in sentence(zero123(), 2)
    assert "invalid choice" in sentence(zero123("paint"), 2)


def test_a_wrong_setting_is_one_sentence() -> None:
    told = sentence(zero123("build", "--set", "render.sample=1"), 2)
    assert told == "zero123: --set: render.sample: expected no such key, got 1\n"


def test_an_empty_folder_of_objects_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    told = sentence(zero123("build", "--set", f"objects.folder={tmp_path}/models", cwd=tmp_path), 2)
    assert "models" in told


def test_a_dataset_that_is_not_there_is_a_failure(tmp_path: Path, photo: Path) -> None:
    told = sentence(
        loaded_zero123("train", "--preset", "tiny", "--set", f"storage.root={tmp_path}/none", cwd=tmp_path), 1
    )
    assert "expected a dataset" in told


@pytest.mark.parametrize(
    ("words", "setting"),
    [(["train"], "train.version"), (["cache"], "train.version"), (["evaluate", "--model", "x"], "evaluate.version")],
)
def test_the_version_that_is_set_is_the_one_that_is_read(words: list[str], setting: str, tmp_path: Path) -> None:
    (tmp_path / "versions").mkdir()
    (tmp_path / "versions" / "1.json").touch()
    asked = ["--preset", "tiny", "--set", f"storage.root={tmp_path}", "--set", f"{setting}=9"]
    assert "expected a version 9, got only: 1" in sentence(loaded_zero123(*words, *asked, cwd=tmp_path), 1)


def test_fewer_than_one_process_is_a_usage_error(tmp_path: Path) -> None:
    told = sentence(zero123("cache", "--processes", "-3", "--set", f"storage.root={tmp_path}", cwd=tmp_path), 2)
    assert "--processes: expected at least 1, got -3" in told


def test_a_model_that_is_none_is_a_failure(tmp_path: Path, photo: Path) -> None:
    told = sentence(loaded_zero123("sample", str(photo), "--model", str(tmp_path), "--orbit", "2", cwd=tmp_path), 1)
    assert "expected a model or a training run" in told


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--move", "20"], "--move: expected UP,RIGHT"),
        (["--move", "a,b"], "--move: expected UP,RIGHT"),
        ([], "expected --move UP,RIGHT"),
        (["--orbit", "-3"], "expected --move UP,RIGHT"),
    ],
)
def test_a_move_that_is_none_is_a_usage_error(photo: Path, words: list[str], part: str) -> None:
    assert part in sentence(zero123("sample", str(photo), "--model", "x", *words), 2)


def test_an_elevation_out_of_range_is_a_usage_error(photo: Path) -> None:
    told = sentence(zero123("reconstruct", str(photo), "--model", "x", "--elevation-deg", "100"), 2)
    assert "--elevation-deg: expected degrees from -90 to 90" in told


def test_inspecting_what_holds_nothing_is_a_usage_error(tmp_path: Path) -> None:
    assert "expected a dataset's folder" in sentence(zero123("inspect", str(tmp_path)), 2)


def test_an_output_folder_that_is_a_file_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    told = sentence(loaded_zero123("demo", "--out", str(tmp_path / "taken")), 2)
    assert "taken: expected a writable folder" in told


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (signal.SIGTERM, "zero123: stopped; what is done is kept, and the same command goes on from there\n"),
        (signal.SIGHUP, ""),
    ],
)
def test_signals_print_a_sentence_and_exit_code(number: signal.Signals, said: str) -> None:
    program = (
        "import os, signal, sys, types\n"
        "import app.main as main\n"
        f"def stop(options): os.kill(os.getpid(), {number:d}); signal.pause()\n"
        "module = types.ModuleType('app.commands.build')\n"
        "module.configure = lambda parser: parser.set_defaults(run=stop)\n"
        "sys.modules['app.commands.build'] = module\n"
        "raise SystemExit(main.main(['build']))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 128 + number
    assert done.stderr == said


def test_the_version_is_told() -> None:
    done = zero123("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("zero123 ")


def test_dry_run_settings_are_valid_yaml_of_the_whole_file() -> None:
    import yaml

    done = zero123("train", "--dry-run", "--preset", "tiny")
    values = yaml.safe_load(done.stdout)
    assert set(values["metadata"]["pipeline"]) >= {"storage", "render", "train", "model"}
    assert json.dumps(values)


def test_weights_go_from_layout_to_layout(tmp_path: Path) -> None:
    from tests.zero123.networks import small_pipeline

    small_pipeline().save_pretrained(tmp_path / "model")
    done = loaded_zero123("convert", "model", "--out", "copy", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "views of 32 × 32, slot 4: radius_difference" in done.stdout
    for path in (path for path in (tmp_path / "model").rglob("*") if path.is_file()):
        assert path.read_bytes() == (tmp_path / "copy" / path.relative_to(tmp_path / "model")).read_bytes()
    for words, sentence in (
        (("model", "--out", "copy"), "expected a new path, got the existing copy"),
        (("model", "--out", "x", "--layout", "ldm"), "expected a .ckpt for --layout ldm"),
        (("model", "--out", "x", "--layout", "kxic"), "expected a model with Stable Diffusion's autoencoder and CLIP"),
        (("x.ckpt", "--out", "y"), "x.ckpt: expected a checkpoint file, got nothing"),
    ):
        assert sentence in sentence_of(loaded_zero123("convert", *words, cwd=tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "model"]


def test_what_a_layout_does_not_say_is_told(tmp_path: Path) -> None:
    from tests.zero123.test_layouts import paper_model

    paper_model({}).save_pretrained(tmp_path / "model")
    done = loaded_zero123("convert", "model", "--out", "x.ckpt", "--layout", "ldm", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    words = done.stdout.splitlines()[-1]
    assert words.startswith("This layout does not say: --pose-slot4 radius_difference --set 'model.hw=[32,32]' --set ")
    assert " --set model.prediction=v_prediction --set model.zero_terminal_snr=true " in words


def run_with_short_files(*words: str) -> int:
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
    return run_command(*words)


def test_half_written_model_is_replaced(tmp_path: Path) -> None:
    from tests.zero123.networks import small_pipeline

    small_pipeline().save_pretrained(tmp_path / "model")
    convert = ["convert", str(tmp_path / "model"), "--out", str(tmp_path / "copy")]
    done = run_forked(run_with_short_files, *convert, timeout=120)
    assert "copy: could not write the model: File too large" in sentence(done, 1)
    assert loaded_zero123(*convert).returncode == 0


def sentence_of(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    return done.stderr
