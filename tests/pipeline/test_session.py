"""A Ray that does not start, or is not there, is one sentence, and leaves nothing behind."""

from pathlib import Path

import pytest

from base.errors import Failure
from pipeline.cluster import ray_for
from tests.pipeline.builds import tiny


def test_a_machine_too_busy_to_start_ray_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import ray

    folders: list[Path] = []

    def too_late(*, _temp_dir: str, **_options: object) -> None:
        folders.append(Path(_temp_dir))
        raise Exception("The current node timed out during startup.")  # as Ray does

    monkeypatch.setattr(ray, "init", too_late)
    with pytest.raises(Failure, match=r"to start, got: The current node .* startup; the same command"):
        ray_for(tiny(tmp_path, tmp_path).run).__enter__()
    assert len(folders) == 1
    assert not folders[0].exists()


def test_a_cluster_that_is_not_there_is_told(tmp_path: Path) -> None:
    run = tiny(tmp_path, tmp_path).run.model_copy(update={"address": "127.0.0.1:1"})
    with pytest.raises(Failure, match=r"run.address: expected a Ray cluster at '127.0.0.1:1', got: .*refused"):
        ray_for(run).__enter__()
