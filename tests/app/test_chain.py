"""The whole chain at reduced size, through the command that the demo uses; then each stage alone on its files."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from tests.forked import Forked, run_command, run_forked

pytestmark = pytest.mark.chain

ROOT = Path(__file__).parents[2]
OBJECTS = ("stool", "avocado")
SMALL = {
    "render.hw": [64, 64],
    "render.views": 6,
    "train.pairs_per_visit": 2,
    "render.samples": 2,
    "run.workers": 2,
    "model.hw": [64, 64],
    "train.init": None,
    "train.images": 64,
    "train.batch": 16,
    "train.images_at_once": 16,
    "train.log_every_images": 16,
    "train.checkpoint_every_images": 32,
    "evaluate.inputs_per_object": 2,
    "evaluate.steps": 2,
    "evaluate.minimum_margin_db": -99.0,
    "evaluate.minimum_silhouette_iou": 0.0,
    "reconstruct.stages": [{"resolution": 16, "steps": 4}],
    "reconstruct.score.viewpoints": 4,
    "reconstruct.mesh.resolution": 24,
    "reconstruct.mesh.texture": {"edge_px": 64, "views": 2},
    "reconstruct.turntable.frames": 4,
    "reconstruct.turntable.hw": [32, 32],
}


@dataclass(frozen=True)
class Demo:
    """A folder of two objects, and the demo's folder that the chain fills from it."""

    objects: Path
    out: Path

    def settings(self, **changed: object) -> list[str]:
        values = {**SMALL, "objects.folder": str(self.objects), **{k.replace("__", "."): v for k, v in changed.items()}}
        return [word for key, value in values.items() for word in ("--set", f"{key}={json.dumps(value)}")]

    def words(self, **changed: object) -> list[str]:
        # `tiny` for a smaller model and mesh than the packaged ones.
        return ["demo", "--preset", "tiny", "--out", str(self.out), *self.settings(**changed)]

    def command(self, **changed: object) -> list[str]:
        return [sys.executable, "-m", "app", *self.words(**changed)]

    def stage(self, *words: str, **changed: object) -> subprocess.CompletedProcess[str]:
        presets = [word for name in ("mini", "demo", "tiny") for word in ("--preset", name)]
        presets += ["--set", f"storage.root={self.out / 'dataset'}"]
        return run_forked(run_command, *words, *presets, *self.settings(**changed), timeout=400)

    def digests(self) -> dict[str, str]:
        """The content of every file that a rerun must not write again."""
        kept = ("dataset", "model", "novel_views", "mesh")
        paths = (path for folder in kept for path in (self.out / folder).rglob("*") if path.is_file())
        return {str(path): f"{path.stat().st_mtime_ns} {sha256(path.read_bytes()).hexdigest()}" for path in paths}


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONFAULTHANDLER": "1"}


def ran(command: list[str]) -> subprocess.CompletedProcess[str]:
    """What a command of a new Python did."""
    return subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=400, check=False
    )


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    base = tmp_path_factory.mktemp("demo")
    (base / "objects").mkdir()
    for name in OBJECTS:
        shutil.copy(ROOT / "examples" / "objects" / f"{name}.glb", base / "objects")
    made = Demo(base / "objects", base / "run")
    # In a new Python: what a module warns of when it is first loaded is seen too.
    done = ran(made.command())
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Warning" not in done.stderr
    return made


def test_the_report_holds_the_numbers_of_every_stage(demo: Demo) -> None:
    numbers = json.loads((demo.out / "report.json").read_text())
    assert numbers["data"]["objects"] == 2
    assert numbers["data"]["views"] == 12
    assert numbers["data"]["pairs"] == 2 * 6 * 5
    assert numbers["train"]["images"] == 64
    assert numbers["novel_views"]["pairs"] == 2 * 2 * 2
    assert set(numbers["stages"]) == {"render", "train", "novel-views", "mesh"}
    assert all(stage["seconds"] > 0 and stage["peak_bytes"] > 50e6 for stage in numbers["stages"].values())
    page = (demo.out / "report.html").read_text()
    assert "<html" in page
    assert f"{numbers['novel_views']['psnr_db']['input']:.1f}"[:4] in page


def test_the_mesh_opens_elsewhere(demo: Demo) -> None:
    mesh = trimesh.load(demo.out / "mesh" / "object.glb", force="mesh")
    assert len(mesh.faces) > 10
    assert np.abs(mesh.bounds).max() < 0.7
    with Image.open(demo.out / "mesh" / "turntable.webp") as turntable:
        assert turntable.n_frames == SMALL["reconstruct.turntable.frames"]


def test_the_same_command_does_nothing_twice(demo: Demo) -> None:
    before = demo.digests()
    done = run_forked(run_command, *demo.words(), timeout=400)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "nothing to do" in done.stderr
    assert demo.digests() == before
    assert json.loads((demo.out / "report.json").read_text())["data"]["rendered"] == 0


def test_a_missed_goal_is_said_and_exits_1(demo: Demo) -> None:
    done = run_forked(run_command, *demo.words(evaluate__minimum_margin_db=99.0), timeout=400)
    assert done.returncode == 1
    assert "novel views: expected +99.00 dB over the better trivial answer, got" in done.stderr
    assert "Traceback" not in done.stderr


def test_each_stage_runs_alone_on_the_files_of_the_one_before(demo: Demo, tmp_path: Path) -> None:
    model, photo = str(demo.out / "model"), str(demo.out / "mesh" / "input.png")
    sampled = demo.stage(
        "sample", photo, "--model", model, "--move", "0,30", "--move", "20,-60,0.1", "--out", str(tmp_path)
    )
    assert sampled.returncode == 0, sampled.stderr[-2000:]
    assert np.asarray(Image.open(tmp_path / "001.png")).shape == (64, 64, 3)
    evaluated = demo.stage("evaluate", "--model", model, "--out", str(tmp_path / "evaluation"))
    assert evaluated.returncode == 0, evaluated.stderr[-2000:]
    for told in ("the input as it is", "1 − HaarPSI", "There is no nearest training view"):
        assert told in evaluated.stdout
    assert "There is no nearest training view" in (tmp_path / "evaluation" / "report.html").read_text()
    inspected = demo.stage("inspect", "--out", str(tmp_path / "inspect"))
    assert inspected.returncode == 0, inspected.stderr[-2000:]
    assert "2 of 2 objects" in inspected.stdout
    assert np.asarray(Image.open(tmp_path / "inspect" / "inspect.png")).std() > 5


def test_build_and_train_reuse_existing_files(demo: Demo, tmp_path: Path) -> None:
    built = demo.stage("build")
    assert built.returncode == 0, built.stderr[-2000:]
    assert "nothing to do" in built.stderr
    trained = demo.stage("train", "--out", str(tmp_path / "model"), train__images=16)
    assert trained.returncode == 0, trained.stderr[-2000:]
    assert "16 images" in trained.stdout
    sampled = demo.stage(
        "sample",
        str(demo.out / "mesh" / "input.png"),
        *("--model", str(tmp_path / "model"), "--orbit", "1", "--out", str(tmp_path / "views")),
    )
    assert sampled.returncode == 0, sampled.stderr[-2000:]


def test_reconstruct_from_picture_and_elevation(demo: Demo, tmp_path: Path) -> None:
    photo = str(demo.out / "mesh" / "input.png")
    words = ["reconstruct", photo, "--model", str(demo.out / "model"), "--elevation-deg", "20", "--out", str(tmp_path)]
    done = demo.stage(*words)
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(trimesh.load(tmp_path / "object.glb", force="mesh").faces) > 10


def test_a_model_of_another_preset_is_one_sentence(demo: Demo, tmp_path: Path) -> None:
    again = demo.stage("train", "--out", str(demo.out / "model"), train__batch=8, train__images_at_once=8)
    assert again.returncode == 2, again.stderr
    assert "Traceback" not in again.stderr
    wrong = demo.stage("train", "--out", str(tmp_path / "model"), model__hw=[128, 128])
    assert wrong.returncode in (1, 2)
    assert "Traceback" not in wrong.stderr
    assert "64" in wrong.stderr
    assert "128" in wrong.stderr


def test_a_damaged_shard_is_named(demo: Demo, tmp_path: Path) -> None:
    dataset = tmp_path / "dataset"
    shutil.copytree(demo.out / "dataset", dataset)
    shard = next((dataset / "shards").glob("*.tar"))
    shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 3])
    words = ["train", "--preset", "tiny", "--out", str(tmp_path / "model"), "--set", f"storage.root={dataset}"]
    done = run_forked(run_command, *words, *demo.settings(), timeout=400)
    assert done.returncode == 1, done.stderr
    assert shard.name in done.stderr
    assert "Traceback" not in done.stderr


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)


@pytest.fixture(params=[pytest.param(number, id=number.name) for number in SIGNALS])
def stopped(request: pytest.FixtureRequest, demo: Demo, tmp_path: Path) -> Demo:
    """A demo over the same dataset that was stopped while it trained."""
    out = tmp_path / "run"
    shutil.copytree(demo.out / "dataset", out / "dataset")
    made = Demo(demo.objects, out)
    child = Forked(run_command, *made.words())
    waited_until = time.monotonic() + 200
    while not list(out.glob("model/checkpoints/*")) and time.monotonic() < waited_until and child.poll() is None:
        time.sleep(0.02)
    child.send_signal(request.param)
    code = child.wait(timeout=60)
    text = child.texts[1]
    assert "Traceback" not in text
    assert code == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -signal.SIGKILL}[request.param], text
    return made


@pytest.mark.slow
def test_a_stopped_demo_goes_on_to_the_same_model(demo: Demo, stopped: Demo) -> None:
    done = run_forked(run_command, *stopped.words(), timeout=400)
    assert done.returncode == 0, done.stderr[-3000:]
    name = "unet/diffusion_pytorch_model.safetensors"
    models = [next(one.out.glob(f"model/checkpoints/*64/{name}")).read_bytes() for one in (demo, stopped)]
    assert models[0] == models[1]
