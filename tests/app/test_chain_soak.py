"""The whole chain stopped again and again, anywhere and in every way, ends as if it had never been stopped."""

import json
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from base.seeds import stable_rng
from tests.app.test_chain import OBJECTS, ROOT, Demo, environment, ran

pytestmark = [pytest.mark.chain, pytest.mark.soak]

WAYS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
SLOW = 5
"""A chain takes a minute: of its stops there are a fifth as many as of other faults."""
STOPS = 6
"""In one run of the chain, each a part of its undisturbed length after its start; then it may finish."""


def objects(folder: Path) -> Path:
    folder.mkdir()
    for name in OBJECTS:
        shutil.copy(ROOT / "examples" / "objects" / f"{name}.glb", folder)
    return folder


def outcome(demo: Demo) -> dict[str, Any]:
    """What must not depend on how often a run was stopped: shards, weights, figures."""
    kept = [*demo.out.glob("dataset/shards/*"), *demo.out.glob("model/checkpoints/*64/unet/*.safetensors")]
    contents: dict[str, Any] = {str(path.relative_to(demo.out)): path.read_bytes() for path in kept}
    numbers = json.loads((demo.out / "report.json").read_text())
    return {**contents, "psnr_db": numbers["novel_views"]["psnr_db"], "mesh": numbers["mesh"]}


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Demo, float]:
    """An undisturbed run, and how long it took."""
    base, started = tmp_path_factory.mktemp("calm"), time.monotonic()
    made = Demo(objects(base / "objects"), base / "run")
    done = ran(made.command())
    assert done.returncode == 0, done.stderr[-3000:]
    return made, time.monotonic() - started


def stop_at(demo: Demo, wait_s: float, way: signal.Signals) -> tuple[int, str]:
    """Start the chain, stop it after a while if it is still at work; its exit code and what it said."""
    line = demo.command()
    with subprocess.Popen(
        line, cwd=ROOT, env=environment(), stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as child:
        try:
            child.wait(timeout=wait_s)
        except subprocess.TimeoutExpired:
            child.send_signal(way)
        said = child.communicate(timeout=120)[1]
    return child.returncode, said


def test_stopped_anywhere_it_ends_the_same(
    calm: tuple[Demo, float], tmp_path: Path, times: int, figure: Callable[[str, object], None]
) -> None:
    undisturbed, length_s = calm
    expected, stops, chains = outcome(undisturbed), Counter[str](), -(-times // (SLOW * STOPS))
    for number in range(chains):
        rng = stable_rng(0, "soak", "chain", number)
        demo = Demo(undisturbed.objects, tmp_path / str(number))
        for _ in range(STOPS):
            way = WAYS[int(rng.integers(len(WAYS)))]
            code, said = stop_at(demo, float(rng.uniform(0.5, length_s)), way)
            assert "Traceback" not in said, said[-3000:]
            assert code in (0, 128 + way, -way), said[-3000:]  # the latter in the last moment of Python, too
            stops[way.name if code else "none"] += 1
            if code == 0:
                break
        done = ran(demo.command())
        assert done.returncode == 0, done.stderr[-3000:]
        assert outcome(demo) == expected
        shutil.rmtree(demo.out)
    for way, count in sorted(stops.items()):
        figure("runs that ended by themselves" if way == "none" else f"stops by {way}", count)
    figure("chains that ended the same", chains)
    assert not any(tmp_path.iterdir())
