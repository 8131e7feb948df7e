"""SD-30: its form on disk, and the published set itself against our cameras."""

from pathlib import Path

import numpy as np
import pytest

from base.errors import Failure, UsageError
from evaluation.check import check_object
from evaluation.datasets.sd30 import Sd30
from tests.evaluation.shared import SD30, needs_sd30
from tests.evaluation.small_sd30 import shape_mesh, write_small_sd30

WITH_MESH = 28


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_sd30(tmp_path_factory.mktemp("sd30"))


def test_a_small_set_is_read_and_agrees_with_its_mesh(small: Path) -> None:
    dataset = Sd30(small)
    assert dataset.uids() == ("brick", "egg")
    truth = dataset.load("brick")
    assert truth.read_mesh is not None
    assert truth.read_mesh().vertices == pytest.approx(shape_mesh("brick").vertices)
    found = check_object(truth, truth.read_mesh())
    assert [view.iou for view in found] == [1.0] * 16
    # Half a quantum of the 16-bit pictures.
    assert max(view.depth_error for view in found) <= 1.8 / 65535 / 2 + 1e-12


def test_lossless_copies_have_the_same_pixels(small: Path, tmp_path: Path) -> None:
    webp = Sd30(write_small_sd30(tmp_path, "webp"))
    assert webp.load("egg").pixel_digest() == Sd30(small).load("egg").pixel_digest()
    assert webp.load("egg").digest() != Sd30(small).load("egg").digest()


def test_missing_things_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        Sd30(tmp_path / "nowhere").uids()
    (tmp_path / "bell").mkdir()
    with pytest.raises(Failure, match=r"expected 16 views, got no 000\.png, 001\.png, 002\.png"):
        Sd30(tmp_path).load("bell")


@needs_sd30
@pytest.mark.slow
def test_the_published_silhouettes_are_those_of_the_meshes() -> None:
    dataset = Sd30(SD30)
    objects = [truth for uid in dataset.uids() if (truth := dataset.load(uid)).read_mesh is not None]
    assert len(objects) == WITH_MESH
    for truth in objects:
        assert truth.read_mesh is not None
        least = min(view.iou for view in check_object(truth, truth.read_mesh()))
        assert least >= 0.9999, truth.uid
    assert np.isnan(check_object(objects[0], objects[0].read_mesh())[0].depth_error)  # type: ignore[misc]
