"""A small dataset for the tests of this folder."""

from pathlib import Path

import pytest

from base.storage import Storage
from shards.version import Version
from tests.shards.datasets import make_version


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path / "dataset")


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> tuple[Version, Storage]:
    """Three shards of 3, 2 and 1 objects; read only."""
    folder = tmp_path_factory.mktemp("dataset")
    storage = Storage(folder / "dataset")
    return make_version(storage, folder / "views", [3, 2, 1]), storage
