"""Novel views from poses the model was not trained on, against the true renders and trivial answers."""

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from base.errors import Failure
from base.progress import Progress
from base.seeds import stable_rng
from base.storage import Storage
from evaluation.answers import answers
from evaluation.baselines import on_white
from evaluation.haarpsi import haarpsi_distance
from evaluation.metrics import psnr, ssim
from evaluation.nearest import Entry, training_views
from evaluation.settings import EvaluateSettings
from shards.reader import read_sample
from shards.sample import Sample
from shards.version import Version

if TYPE_CHECKING:
    from zero123.pipeline import Zero123Pipeline

Image = NDArray[np.uint8]
Measure = Callable[[Image, Image], float]

TRIVIAL = ("input", "white")
PIXELS: Mapping[str, Measure] = {"psnr": psnr, "ssim": ssim, "haarpsi_distance": haarpsi_distance}
"""The measures that need no network, by the names of a row's fields."""


@dataclass(frozen=True)
class Row:
    """One pair: each measure of every answer for view `target` of `uid`, asked for from view `source`.

    The answers are `model`, `input`, `white`, `mean_view`, and `nearest_view` where there are training views; without a
    network `feature_distance` is empty.
    """

    uid: str
    source: int
    target: int
    psnr: dict[str, float]
    ssim: dict[str, float]
    haarpsi_distance: dict[str, float]
    feature_distance: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Triptych:
    """One pair's pictures, RGB uint8 (H, W, 3): the input, the model's answer, the truth; the nearest training view."""

    uid: str
    source: int
    target: int
    pictures: tuple[Image, Image, Image]
    nearest: Image | None = None


@dataclass(frozen=True)
class Network:
    """The image encoder whose feature space was used, by the SHA-256 of its weights (see `weights_digest`)."""

    name: str
    weights_sha256: str
    parameters: int
    side_px: int


@dataclass(frozen=True)
class NovelViews:
    """Every pair's row, some pairs' pictures, and what was asked for.

    `version` is the number of the dataset's version. `training_objects` is among how many the nearest view was looked
    for, in version `training_version` of the training objects' dataset; None, as `network`, means that none was used.
    """

    rows: tuple[Row, ...]
    triptychs: tuple[Triptych, ...]
    minimum_margin_db: float
    version: int
    training_objects: int = 0
    training_version: int | None = None
    network: Network | None = None

    def means(self, measure: str) -> dict[str, float]:
        """The mean over all rows of a measure (a field of Row), for each answer that has it."""
        values = [getattr(row, measure) for row in self.rows]
        return {answer: float(np.mean([value[answer] for value in values])) for answer in values[0]}

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
    pipeline: "Zero123Pipeline", version: Version, storage: Storage, settings: EvaluateSettings, progress: Progress
) -> NovelViews:
    """Asks the model for the held-out views of each object; the same arguments give the same pairs and seeds.

    Raises Failure when the split is empty, has too few views, or has images of another size than the model's, when
    there is no dataset at `settings.training_root`, for a damaged object, and for a folder `settings.features` without
    a CLIP.
    """
    _check(pipeline, version, settings)
    chosen = _entries(version, settings)
    measures, network = _measures(pipeline, settings)
    training = training_views(version, storage, settings, chosen, progress)
    rows: list[Row] = []
    triptychs: list[Triptych] = []
    total = len(chosen) * settings.inputs_per_object * settings.held_out_views
    kept = set(np.linspace(0, total - 1, min(settings.triptychs, total)).round().astype(int).tolist())
    with progress.task("evaluate", total=total, unit="views") as task:
        for sample in objects(version, storage, settings):
            for source, targets in pairs(sample.uid, version.views, sample.good_views, settings):
                views = answers(pipeline, training, sample, source, targets, settings)
                for target, pictures in zip(targets, views, strict=True):
                    true = on_white(sample.image(target))
                    if len(rows) in kept:
                        three = (pictures["input"], pictures["model"], true)
                        triptychs.append(Triptych(sample.uid, source, target, three, pictures.get("nearest_view")))
                    rows.append(Row(sample.uid, source, target, **_measured(pictures, true, measures)))
                task.advance(len(targets), note=sample.uid)
    if not rows:
        raise Failure(
            f"split {settings.split}: expected good views to draw and to ask for, got none in {len(chosen)} objects"
        )
    return NovelViews(
        tuple(rows),
        tuple(triptychs),
        settings.minimum_margin_db,
        version.number,
        training_objects=len(training.entries) if training else 0,
        training_version=training.version if training else None,
        network=network,
    )


def objects(version: Version, storage: Storage, settings: EvaluateSettings) -> Iterator[Sample]:
    """The objects that are looked at, in order of their uids. Raises DamagedSample for one that cannot be compared."""
    for shard, entry in _entries(version, settings):
        sample = read_sample(storage, shard, entry)
        sample.check_good_views(views=version.views, hw=version.hw)
        yield sample


def pairs(uid: str, views: int, good: Sequence[int], settings: EvaluateSettings) -> list[tuple[int, tuple[int, ...]]]:
    """(source, targets) for each drawn input of an object: sources from the first views, targets the last ones.

    Only `good` views are drawn and asked for; an object may have none to ask for.
    """
    known = views - settings.held_out_views
    rng = stable_rng(settings.seed, "evaluate-inputs", uid)
    drawn = [int(source) for source in rng.permutation(known) if source in good][: settings.inputs_per_object]
    targets = tuple(view for view in range(known, views) if view in good)
    return [(source, targets) for source in drawn if targets]


def _entries(version: Version, settings: EvaluateSettings) -> list[Entry]:
    entries = ((shard, entry) for shard in version.split(settings.split) for entry in shard.samples)
    return heapq.nsmallest(settings.max_objects, entries, key=lambda one: one[1].uid)


def _measures(pipeline: "Zero123Pipeline", settings: EvaluateSettings) -> tuple[Mapping[str, Measure], Network | None]:
    """The measures by the names of a row's fields, and the network that one of them needs."""
    if not settings.features:
        return PIXELS, None
    from evaluation.features import ClipFeatures
    from zero123.clip import ClipImages

    encoder = ClipImages.from_folder(Path(settings.features).expanduser(), pipeline.device)
    network = Network("CLIP image encoder", encoder.digest, encoder.parameters, encoder.side_px)
    return {**PIXELS, "feature_distance": ClipFeatures(encoder).distance}, network


def _measured(pictures: Mapping[str, Image], true: Image, measures: Mapping[str, Measure]) -> dict[str, Any]:
    return {
        name: {answer: measure(picture, true) for answer, picture in pictures.items()}
        for name, measure in measures.items()
    }


def _check(pipeline: "Zero123Pipeline", version: Version, settings: EvaluateSettings) -> None:
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
