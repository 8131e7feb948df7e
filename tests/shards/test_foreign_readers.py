"""Shards are plain: Hugging Face `datasets` opens them, and knows nothing of this project."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from base.storage import Storage
from shards.reader import read_shard
from shards.version import Version


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No hub, and a cache of this test's own; the library reads both when it is imported."""
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    return tmp_path / "cache"


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streaming"])
def test_hugging_face_datasets_reads_what_our_reader_reads(
    dataset: tuple[Version, Storage], offline: Path, streaming: bool
) -> None:
    from datasets import load_dataset

    version, storage = dataset
    files = [os.fspath(storage.local_path(shard.name)) for shard in version.shards]
    rows = load_dataset(
        "webdataset", data_files={"train": files}, split="train", cache_dir=os.fspath(offline), streaming=streaming
    )
    theirs = {row["__key__"]: row for row in rows}
    ours = {sample.uid: sample for shard in version.shards for sample in read_shard(storage, shard)}
    assert set(theirs) == set(ours)
    for uid, sample in ours.items():
        row = theirs[uid]
        assert row["json"]["object"]["licence"] == "CC0-1.0"
        assert np.array_equal(row["extrinsics.npy"], sample.extrinsics)
        assert np.array_equal(_rgba(row["00.webp"]), sample.image(0))


def _rgba(picture: object) -> np.ndarray:
    """A picture as the library gives it: a PIL image, or its bytes."""
    if isinstance(picture, dict):
        picture = Image.open(io.BytesIO(picture["bytes"]))
    assert isinstance(picture, Image.Image)
    return np.asarray(picture.convert("RGBA"))
