"""`from shards import read`: a dataset's folder is all that it needs, and the package itself stays light."""

import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

import shards
from base.errors import Failure, UsageError
from base.storage import Storage
from shards import read
from shards.stream import stream_pairs
from shards.version import Version, version_name

ROOT = Path(__file__).parents[2]


@pytest.fixture
def root(dataset: tuple[Version, Storage]) -> str:
    version, storage = dataset
    storage.write(version_name(1), version.to_json())
    return storage.root


def test_read_streams_the_pairs_of_the_newest_version(dataset: tuple[Version, Storage], root: str) -> None:
    expected = stream_pairs(*dataset, split="train", seed=3, position=2, rank=1, world=2, pairs_per_visit=6)
    found = read(root, seed=3, position=2, rank=1, world=2)
    for pair, other in islice(zip(found, expected, strict=True), 20):
        assert pair.number == other.number
        assert pair.uid == other.uid
        assert pair.source == other.source
        assert pair.target == other.target
        assert np.array_equal(pair.target_rgba, other.target_rgba)


def test_each_visit_shows_each_view_once_by_default(root: str) -> None:
    visit = [pair for pair in islice(read(root), 2 * 36) if pair.uid == "object-0-000"][:6]
    assert sorted(view for pair in visit for view in (pair.source, pair.target)) == list(range(12))


def test_what_does_not_fit_is_named_at_once(root: str, tmp_path: Path) -> None:
    with pytest.raises(Failure, match="expected a dataset with at least one version"):
        read(tmp_path)
    with pytest.raises(Failure, match="expected a version 9, got only: 1"):
        read(root, version=9)
    with pytest.raises(UsageError, match="expected ranks × workers to divide the 2 streams"):
        read(root, world=3)
    with pytest.raises(AttributeError, match="module 'shards' has no attribute 'nothing'"):
        _ = shards.nothing  # type: ignore[attr-defined]


def test_the_package_loads_no_torch() -> None:
    program = (
        "import sys, shards; shards.read; print([name for name in ('torch', 'webdataset') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
