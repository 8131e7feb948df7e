"""The streaming benchmark at the smallest size: every side is measured, and each reads the same pairs and cameras."""

import gc
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from base.storage import Storage
from bench import stream, streaming
from bench.streaming import PAIRS, SIDES, VIEWS, on_white_in_numpy
from shards.reader import read_shard
from shards.version import read_version

pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # webdataset leaves its files open
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
OBJECTS = 4


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(streaming, "HW", (16, 16))
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    gc.collect()


def here(side: str, root: str, images: int, workers: int = 0) -> dict[str, float]:
    """What a side costs in this process, which has loaded torch already."""
    return streaming.measure(side, root, images, workers)


def test_the_result_has_each_side_and_its_ratio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    streaming.make_dataset(tmp_path / "dataset", shards=2, objects=1)
    out = tmp_path / "result.json"
    words = ["--root", str(tmp_path / "dataset"), "--images", "64", "--rounds", "1", "--no-s3", "--json", str(out)]
    monkeypatch.setattr("sys.argv", ["stream", *words])
    monkeypatch.setattr(stream, "run_side", here)
    assert stream.main() == 0
    result = json.loads(out.read_text())
    [told] = result["rounds"]
    rates = {side: told[side]["images_per_cpu_s"] for side in SIDES}
    assert result["ratios"] == {side: rates["ours"] / rate for side, rate in rates.items() if side != "ours"}
    assert result["ratio"] == result["ratios"]["plain"] > 0
    assert len(result["places"]) == 2


@pytest.mark.parametrize("side", SIDES)
def test_each_side_reads_every_view_once_with_its_cameras(tmp_path: Path, side: str) -> None:
    streaming.make_dataset(tmp_path / "dataset", shards=1, objects=OBJECTS)
    storage = Storage(tmp_path / "dataset")
    version = read_version(storage)
    samples = {sample.uid: sample for shard in version.shards for sample in read_shard(storage, shard)}
    names = [(uid, view) for uid in samples for view in range(VIEWS)]
    pictures = np.stack([on_white(samples[uid].image(view)) for uid, view in names])
    seen = []
    for pair in islice(SIDES[side](version, storage, 0), OBJECTS * PAIRS):
        got = pair if isinstance(pair, dict) else {**vars(pair), "source": pair.source_rgba, "target": pair.target_rgba}
        shown = [np.abs(pictures - as_shown(got[end])).max(axis=(1, 2, 3)) for end in ("source", "target")]
        assert max(apart.min() for apart in shown) < 1.5, "Pillow rounds otherwise"
        (uid, source), (other, target) = (names[int(apart.argmin())] for apart in shown)
        assert uid == other
        stored = samples[uid].pairs
        for name in ("R", "T", "pose"):
            np.testing.assert_array_equal(got[name], getattr(stored, name)[stored.find_row(source, target)])
        seen += [(uid, source), (uid, target)]
    assert sorted(seen) == names


def as_shown(picture: Any) -> NDArray[np.float64]:
    """RGB on white, 0 to 255, of our uint8 RGBA (H, W, 4) or webdataset's tensor (3, H, W) of −1 to 1."""
    if isinstance(picture, torch.Tensor):
        return (picture.permute(1, 2, 0).double().numpy() + 1.0) * 127.5
    return on_white(picture)


def on_white(rgba: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.asarray(on_white_in_numpy(Image.fromarray(rgba)), np.float64)
