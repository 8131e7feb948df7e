"""Evaluate novel views of held-out views against the true renders and the baselines."""

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
from evaluation.answers import collect_answers
from evaluation.baselines import on_white
from evaluation.haarpsi import haarpsi_distance
from evaluation.metrics import psnr, ssim
from evaluation.nearest import Entry, load_training_views
from evaluation.settings import EvaluateSettings
from geometry.camera import camera_centre
from geometry.sphere import angle_deg
from shards.reader import read_sample
from shards.sample import Sample
from shards.version import Version

if TYPE_CHECKING:
    from zero123.pipeline import Zero123Pipeline

Image = NDArray[np.uint8]
Measure = Callable[[Image, Image], float]

TRIVIAL = ("input", "white")
NEAR_DEG = 30.0
"""For moves as small as this, the input as it is comes close to the truth."""

PIXELS: Mapping[str, Measure] = {"psnr": psnr, "ssim": ssim, "haarpsi_distance": haarpsi_distance}
"""The measures without a network, by the field of `Row`."""


@dataclass(frozen=True)
class Row:
    """The measures of every answer for a pair: view `target` of object `uid`, given view `source`.

    The answers are `model`, `input`, `white`, `mean_view`, and with training views `training_mean` and `nearest_view`.
    Without a network, `feature_distance` is empty. `angle_deg` is the angle between the two cameras, seen from the
    object.
    """

    uid: str
    source: int
    target: int
    angle_deg: float
    psnr: dict[str, float]
    ssim: dict[str, float]
    haarpsi_distance: dict[str, float]
    feature_distance: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Triptych:
    """The pictures of a pair, RGB uint8 (H, W, 3): input, model's answer and truth; and the nearest training view."""

    uid: str
    source: int
    target: int
    pictures: tuple[Image, Image, Image]
    nearest: Image | None = None


@dataclass(frozen=True)
class Network:
    """The image encoder of `feature_distance`, identified by the SHA-256 of its weights (see `weights_digest`)."""

    name: str
    weights_sha256: str
    parameters: int
    side_px: int


@dataclass(frozen=True)
class NovelViews:
    """The row of every pair, the pictures of some, and the conditions of the evaluation.

    `version` is the number of the dataset's version. The nearest view was searched among `training_objects` objects of
    version `training_version` of their dataset. `training_version` and `network` are None if not used.
    """

    rows: tuple[Row, ...]
    triptychs: tuple[Triptych, ...]
    minimum_margin_db: float
    version: int
    training_objects: int = 0
    training_version: int | None = None
    network: Network | None = None

    def means(self, measure: str) -> dict[str, float]:
        """Return the mean of a measure (a field of `Row`) over all rows, for each of its answers."""
        values = [getattr(row, measure) for row in self.rows]
        return {answer: float(np.mean([value[answer] for value in values])) for answer in values[0]}

    def near_means(self) -> dict[str, float]:
        """Return the mean PSNR of each answer over pairs with cameras at most NEAR_DEG apart; empty without any."""
        near = [row.psnr for row in self.rows if row.angle_deg <= NEAR_DEG]
        return {answer: float(np.mean([psnr[answer] for psnr in near])) for answer in near[0]} if near else {}

    @property
    def margin_db(self) -> float:
        """The model's mean PSNR minus that of the better of `input` and `white`, in dB."""
        means = self.means("psnr")
        return means["model"] - max(means[answer] for answer in TRIVIAL)

    @property
    def passed(self) -> bool:
        """Whether the margin reaches the minimum."""
        return self.margin_db >= self.minimum_margin_db


def evaluate_novel_views(
    pipeline: "Zero123Pipeline", version: Version, storage: Storage, settings: EvaluateSettings, progress: Progress
) -> NovelViews:
    """Sample the held-out views of each object and measure them. The same arguments give the same pairs and seeds.

    Raises Failure when the split is empty, has too few views, or has images of another size than the model's; when
    `settings.training_root` has no dataset; for a damaged object; and for a folder `settings.features` without a CLIP.
    """
    _check(pipeline, version, settings)
    chosen = _entries(version, settings)
    measures, network = _measures(pipeline, settings)
    training = load_training_views(version, storage, settings, chosen, progress)
    rows: list[Row] = []
    triptychs: list[Triptych] = []
    total = len(chosen) * settings.inputs_per_object * settings.held_out_views
    # Triptychs are spread over all pairs, since the first few would all show the same object.
    kept = set(np.linspace(0, total - 1, min(settings.triptychs, total)).round().astype(int).tolist())
    with progress.task("evaluate", total=total, unit="views") as task:
        for sample in read_objects(version, storage, settings):
            for source, targets in list_pairs(sample.uid, version.views, sample.good_views, settings):
                views = collect_answers(pipeline, training, sample, source, targets, settings)
                for target, pictures in zip(targets, views, strict=True):
                    true = on_white(sample.image(target))
                    if len(rows) in kept:
                        three = (pictures["input"], pictures["model"], true)
                        triptychs.append(Triptych(sample.uid, source, target, three, pictures.get("nearest_view")))
                    centres = camera_centre(sample.extrinsics[[source, target]])
                    angle = angle_deg(centres[0], centres[1])
                    rows.append(Row(sample.uid, source, target, angle, **_measure(pictures, true, measures)))
                task.advance(len(targets), note=sample.uid)
    if not rows:
        raise Failure(
            f"split {settings.split}: expected objects with good input and target views, got 0 of {len(chosen)} objects"
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


def read_objects(version: Version, storage: Storage, settings: EvaluateSettings) -> Iterator[Sample]:
    """Yield the evaluated objects in the order of their uids. Raises DamagedSample for an unusable sample."""
    for shard, entry in _entries(version, settings):
        sample = read_sample(storage, shard, entry)
        sample.check_good_views(views=version.views, hw=version.hw)
        yield sample


def list_pairs(
    uid: str, views: int, good: Sequence[int], settings: EvaluateSettings
) -> list[tuple[int, tuple[int, ...]]]:
    """Draw input views of an object and return (source, targets) for each: the targets are the last, held-out views.

    Sources are drawn from the other views. Only `good` views are used, so an object may have no pairs.
    """
    known = views - settings.held_out_views
    rng = stable_rng(settings.seed, "evaluate-inputs", uid)
    # All known views are shuffled before bad ones are left out, so a bad view does not change the other draws.
    drawn = [int(source) for source in rng.permutation(known) if source in good][: settings.inputs_per_object]
    targets = tuple(view for view in range(known, views) if view in good)
    return [(source, targets) for source in drawn if targets]


def _entries(version: Version, settings: EvaluateSettings) -> list[Entry]:
    entries = ((shard, entry) for shard in version.split(settings.split) for entry in shard.samples)
    # The first by uid, whatever the shards: repacking a dataset keeps the evaluated objects.
    return heapq.nsmallest(settings.max_objects, entries, key=lambda entry: entry[1].uid)


def _measures(pipeline: "Zero123Pipeline", settings: EvaluateSettings) -> tuple[Mapping[str, Measure], Network | None]:
    """Return the measures by the field of `Row`, and the network of `feature_distance` if there is one."""
    if not settings.features:
        return PIXELS, None
    # Loaded only when asked for: transformers takes seconds.
    from evaluation.features import ClipFeatures
    from zero123.clip import ClipImages

    encoder = ClipImages.from_folder(Path(settings.features).expanduser(), pipeline.device)
    network = Network("CLIP image encoder", encoder.digest, encoder.parameters, encoder.side_px)
    return {**PIXELS, "feature_distance": ClipFeatures(encoder).distance}, network


def _measure(pictures: Mapping[str, Image], true: Image, measures: Mapping[str, Measure]) -> dict[str, Any]:
    return {
        name: {answer: measure(picture, true) for answer, picture in pictures.items()}
        for name, measure in measures.items()
    }


def _check(pipeline: "Zero123Pipeline", version: Version, settings: EvaluateSettings) -> None:
    if version.samples(settings.split) == 0:
        raise Failure(
            f"evaluate: expected objects in split {settings.split!r} of version {version.number}, got nothing"
        )
    needed = settings.held_out_views + settings.inputs_per_object
    if version.views < needed:
        raise Failure(
            f"evaluate: expected at least {needed} views an object ({settings.held_out_views} held out, "
            f"{settings.inputs_per_object} inputs), got {version.views}"
        )
    if tuple(pipeline.hw) != tuple(version.hw):
        raise Failure(f"evaluate: expected views of the model's size {tuple(pipeline.hw)}, got {tuple(version.hw)}")
