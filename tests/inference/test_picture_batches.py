"""Several pictures in a batch: the views of each alone but for rounding, and a fault costs its picture alone."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.settings import load_settings
from inference.cameras import AskedCameras
from inference.models import ModelChoice
from inference.picture_child import PictureChild
from inference.picture_request import ChildSetup, ModelFacts, PictureJob, PictureSections, ViewsRequest
from inference.picture_stages import SampleStage
from pipeline.catalog.rows import Attempt
from pipeline.cluster.actor import RenderWorker
from pipeline.work.worker import ItemJob, Job
from shards.image import decode_rgba
from shards.sample import view_suffix
from tests.app.test_many_pictures import draw
from tests.inference import stub_program
from tests.pipeline.stub_worker import stub_jobs, stub_spec

VIEWS = 3
REQUEST = ViewsRequest(
    cameras=AskedCameras(moves=(), orbit=VIEWS, rig=None, seed=0),
    samples=1,
    alpha=False,
    assume_cut_out=False,
    elevation_deg=None,
)


def sections(*overrides: str) -> PictureSections:
    small = ("sample.steps=2", "sample.timesteps=all", "sample.compute.views_at_once=4")
    settings = load_settings(None, overrides=[*small, *overrides])
    return PictureSections(**{name: getattr(settings, name) for name in PictureSections.model_fields})


def jobs_of(folder: Path, names: Sequence[str]) -> list[PictureJob]:
    folder.mkdir()
    for number, name in enumerate(names):
        draw(folder / f"{name}.png", number)
        (folder / name).mkdir()
    return [PictureJob(uid=name, file=str(folder / f"{name}.png"), out=str(folder / name)) for name in names]


def views(job: PictureJob) -> np.ndarray:
    pictures = [decode_rgba(Path(job.out, view_suffix(view)).read_bytes()) for view in range(VIEWS)]
    return np.stack(pictures).astype(int)


@pytest.mark.slow
def test_pictures_of_a_batch_are_those_of_each_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batches of an accelerator, on the CPU, where they can be compared: four rows hold parts of two pictures."""
    from inference.picture_program import _Work
    from inference.sample_photo import LoadedModel
    from tests.zero123.networks import small_pipeline

    pipeline, sizes = small_pipeline(), list[int]()
    whole = pipeline.batches_of_pictures

    def limited(rgbas: np.ndarray, *given: Any, **named: Any) -> Any:
        sizes.append(len(rgbas))
        if len(rgbas) > most:
            raise RuntimeError("expected fewer pictures")
        return whole(rgbas, *given, **named)

    monkeypatch.setattr(pipeline, "batches_of_pictures", limited)
    model = LoadedModel(pipeline=pipeline, digest="0" * 16, source="small")

    def make(name: str, groups: int) -> list[PictureJob]:
        jobs = jobs_of(tmp_path / name, ["ant", "bee", "blank", "cow"])
        Path(jobs[2].file).write_bytes(b"no picture")
        results = []
        for start in range(0, len(jobs), groups):
            work = _Work(model, sections(), REQUEST, lambda message: None)
            results += work.make(jobs[start : start + groups])
        assert [result.outcome for result in results] == ["ok", "ok", "corrupt", "ok"]
        assert [result.phase for result in results] == ["", "", "prepare", ""]
        return [jobs[0], jobs[1], jobs[3]]

    most = 4
    alone, together = make("alone", 1), make("together", 4)
    assert sizes == [1, 1, 1, 3]
    most = 1
    fallen_back = make("fallen back", 4)
    for one, others in zip(alone, zip(together, fallen_back, strict=True), strict=True):
        assert [np.abs(views(other) - views(one)).max() <= 1 for other in others] == [True, True]
    assert not np.array_equal(views(alone[0]), views(alone[1]))


def test_a_death_in_a_batch_is_held_against_its_picture_alone(tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path / "jobs", ["ant", "segfault-1", "bee"])
    setup = ChildSetup(model=ModelChoice(), device="cpu", sections=sections().model_dump(mode="json"), request=REQUEST)
    child = PictureChild(setup, sections().views.child, command=(sys.executable, stub_program.__file__))
    try:
        ends = child.make(jobs)
    finally:
        child.close()
    assert [end.result.outcome for end in ends] == ["ok", "crash", "ok"]
    assert [(Path(job.out) / "views.json").exists() for job in jobs] == [True, False, True]


@pytest.mark.parametrize(
    ("device", "asked", "at_once"), [("kind CPU", 0, 1), ("kind CUDA, name any", 0, 21), ("kind CUDA", 5, 5)]
)
def test_a_batch_is_filled_on_an_accelerator(device: str, asked: int, at_once: int) -> None:
    facts = ModelFacts(digest="0" * 16, hw=(16, 16), pose_slot4="radius_difference", sampling={}, device=device)
    settings = sections(f"views.child.pictures_at_once={asked}")
    assert SampleStage(ModelChoice(), facts, "auto", settings, REQUEST).items_at_once == at_once


class Together:
    """Takes down which jobs came together."""

    phase = ""

    def __init__(self, groups: list[int], *_: object) -> None:
        self.groups = groups

    def do(self, job: Job) -> Attempt:
        self.groups.append(1)
        assert isinstance(job, ItemJob)
        return Attempt(attempt=job.item.uid, run="", uid=job.item.uid, outcome="ok")

    def do_together(self, jobs: Sequence[ItemJob]) -> list[Attempt]:
        answers = [self.do(job) for job in jobs]
        self.groups[-len(jobs) :] = [len(jobs)]
        return answers

    def close(self) -> None:
        return None


def test_a_worker_divides_its_jobs_into_batches_of_the_stage(tmp_path: Path) -> None:
    facts = ModelFacts(digest="0" * 16, hw=(16, 16), pose_slot4="radius_difference", sampling={}, device="kind CUDA")
    stage = SampleStage(ModelChoice(), facts, "auto", sections("views.child.pictures_at_once=3"), REQUEST)
    groups, jobs = list[int](), stub_jobs("quick", 7)
    worker = RenderWorker(replace(stub_spec(tmp_path), stage=stage), partial(Together, groups))
    assert [answer.uid for answer in worker.do(jobs) if isinstance(answer, Attempt)] == [job.item.uid for job in jobs]
    assert groups == [3, 3, 1]
