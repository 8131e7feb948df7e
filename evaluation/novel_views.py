"""Novel views from poses the model was not trained on, against the true renders and trivial answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from base.errors import Failure
from base.progress import Progress
from base.seeds import stable_rng, stable_seed
from base.storage import Storage
from evaluation.baselines import mean_view, on_white, white
from evaluation.metrics import psnr, ssim
from evaluation.settings import EvaluateSettings
from geometry.relative import polar_angle, pose_vector
from shards.read import read_sample
from shards.sample import Sample
from shards.version import Version

Image = NDArray[np.uint8]

ANSWERS = ("model", "input", "white", "mean_view")
TRIVIAL = ("input", "white")


@dataclass(frozen=True)
class Row:
    """One pair: the metrics of every answer in ANSWERS for view `target` of `uid`, asked for from view `source`."""

    uid: str
    source: int
    target: int
    psnr: dict[str, float]
    ssim: dict[str, float]


@dataclass(frozen=True)
class Triptych:
    """One pair's pictures, RGB uint8 (H, W, 3): the input, the model's answer, the truth."""

    uid: str
    source: int
    target: int
    pictures: tuple[Image, Image, Image]


@dataclass(frozen=True)
class NovelViews:
    """Every pair's row, some pairs' pictures, and what was asked for."""

    rows: tuple[Row, ...]
    triptychs: tuple[Triptych, ...]
    minimum_margin_db: float

    def means(self, metric: str) -> dict[str, float]:
        """The mean over all rows of "psnr" or "ssim", for each answer."""
        return {answer: float(np.mean([getattr(row, metric)[answer] for row in self.rows])) for answer in ANSWERS}

    @property
    def margin_db(self) -> float:
        """How far the model's mean PSNR is above that of the better trivial answer."""
        means = self.means("psnr")
        return means["model"] - max(means[answer] for answer in TRIVIAL)

    @property
    def passed(self) -> bool:
        """Whether the model is far enough ahead."""
        return self.margin_db >= self.minimum_margin_db


def evaluate_novel_views(
    pipeline: Any, version: Version, storage: Storage, settings: EvaluateSettings, progress: Progress
) -> NovelViews:
    """Asks the model for the held-out views of each object; the same arguments give the same pairs and seeds.

    Raises Failure when the split is empty, has too few views, or has images of another size than the model's.
    """
    _check(pipeline, version, settings)
    count = min(settings.max_objects, version.samples(settings.split))
    rows: list[Row] = []
    triptychs: list[Triptych] = []
    total = count * settings.inputs_per_object * settings.held_out_views
    with progress.task("evaluate", total=total, unit="views") as task:
        for sample in objects(version, storage, settings):
            for source, targets in pairs(sample.uid, version.views, sample.good, settings):
                answers = _answers(pipeline, sample, source, targets, settings)
                for target, answer in zip(targets, answers, strict=True):
                    row, triptych = _measured(sample, source, target, answer, settings)
                    rows.append(row)
                    triptychs.append(triptych)
                task.advance(len(targets), note=sample.uid)
    if not rows:
        raise Failure(
            f"split {settings.split}: expected good views to draw and to ask for, got none in {count} objects"
        )
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(settings.triptychs, len(rows))).round().astype(int))
    return NovelViews(tuple(rows), tuple(triptychs[k] for k in chosen), settings.minimum_margin_db)


def objects(version: Version, storage: Storage, settings: EvaluateSettings) -> Iterator[Sample]:
    """The objects that are looked at, in order of their uids."""
    entries = [(entry.uid, shard, entry) for shard in version.split(settings.split) for entry in shard.samples]
    for _, shard, entry in sorted(entries, key=lambda item: item[0])[: settings.max_objects]:
        yield read_sample(storage, shard, entry)


def pairs(uid: str, views: int, good: Sequence[int], settings: EvaluateSettings) -> list[tuple[int, tuple[int, ...]]]:
    """(source, targets) for each drawn input of an object: sources from the first views, targets the last ones.

    Only `good` views are drawn and asked for; an object may have none to ask for.
    """
    known = views - settings.held_out_views
    rng = stable_rng(settings.seed, "evaluate-inputs", uid)
    drawn = [int(source) for source in rng.permutation(known) if source in good][: settings.inputs_per_object]
    targets = tuple(view for view in range(known, views) if view in good)
    return [(source, targets) for source in drawn if targets]


def _answers(
    pipeline: Any, sample: Sample, source: int, targets: tuple[int, ...], settings: EvaluateSettings
) -> NDArray[np.uint8]:
    cameras = sample.extrinsics
    poses = pose_vector(np.broadcast_to(cameras[source], (len(targets), 3, 4)), cameras[list(targets)])
    seeds = [stable_seed(settings.seed, "evaluate-noise", sample.uid, source, target) for target in targets]
    return np.asarray(
        pipeline(
            sample.image(source),
            pipeline.told(poses, float(polar_angle(cameras[source]))),
            guidance_scale=settings.guidance_scale,
            steps=settings.steps,
            eta=settings.eta,
            seeds=seeds,
        )
    )


def _measured(
    sample: Sample, source: int, target: int, answer: Image, settings: EvaluateSettings
) -> tuple[Row, Triptych]:
    true, shown = on_white(sample.image(target)), on_white(sample.image(source))
    known = len(sample.extrinsics) - settings.held_out_views
    answers = {
        "model": answer,
        "input": shown,
        "white": white((true.shape[0], true.shape[1])),
        "mean_view": mean_view([sample.image(view) for view in sample.good if view < known]),
    }
    row = Row(
        sample.uid,
        source,
        target,
        psnr={name: psnr(image, true) for name, image in answers.items()},
        ssim={name: ssim(image, true) for name, image in answers.items()},
    )
    return row, Triptych(sample.uid, source, target, (shown, answer, true))


def _check(pipeline: Any, version: Version, settings: EvaluateSettings) -> None:
    if version.samples(settings.split) == 0:
        raise Failure(f"evaluate: expected objects in split {settings.split!r} of version {version.number}, got none")
    needed = settings.held_out_views + settings.inputs_per_object
    if version.views < needed:
        raise Failure(
            f"evaluate: expected at least {needed} views an object ({settings.held_out_views} held out, "
            f"{settings.inputs_per_object} inputs), got {version.views}"
        )
    if tuple(pipeline.hw) != tuple(version.hw):
        raise Failure(f"evaluate: expected views of the model's size {tuple(pipeline.hw)}, got {tuple(version.hw)}")
