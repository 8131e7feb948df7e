"""A model that cannot be written whole is not there at all, and the sentence says why."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from base.errors import Failure
from tests.zero123.test_layouts import UNETS, paper_model
from zero123.layouts.folders import SPELLINGS, save_folder
from zero123.layouts.ldm import save_ldm
from zero123.pipeline import Zero123Pipeline
from zero123.saving import save_whole

FULL = "the disk is full; free some space and run the same command again"
WRITERS = {
    "ldm": save_ldm,
    "zero123": Zero123Pipeline.save_pretrained,
    "kxic": lambda model, path: save_folder(model, path, SPELLINGS["kxic"]),
}


@contextmanager
def small_files(limit_bytes: int) -> Iterator[None]:
    """No file may be longer."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("layout", WRITERS)
def test_half_a_model_does_not_stay(tmp_path: Path, layout: str) -> None:
    model, path = paper_model(UNETS["small"]), tmp_path / "model"
    with (
        small_files(4096),
        pytest.raises(Failure, match="/model: could not write the model: File too large"),
        save_whole(path, "model") as temporary,
    ):
        WRITERS[layout](model, temporary)
    assert list(tmp_path.iterdir()) == []
    with save_whole(path, "model") as temporary:
        WRITERS[layout](model, temporary)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError(28, "No space left"), SafetensorError("I/O error: ... (os error 28)")])
def test_a_full_disk_is_told_as_such(tmp_path: Path, error: Exception) -> None:
    def save() -> None:
        with save_whole(tmp_path / "0001", "checkpoint") as temporary:
            temporary.mkdir()
            save_file({"a": torch.zeros(2)}, temporary / "a")
            raise error

    with pytest.raises(Failure, match=f"0001: could not write the checkpoint: {FULL}"):
        save()
    assert list(tmp_path.iterdir()) == []
