"""Validation during training: compare sampled with true views, with the same objects, poses and seeds every time."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from base.errors import Failure
from base.seeds import stable_seed
from base.storage import write_atomically
from geometry.relative import polar_angle, pose_vector
from report.contact_sheet import contact_sheet
from report.images import composite, encode_image
from shards.damage import DamagedSample, DamageHandler
from shards.pair import good_drawn_views
from shards.reader import ReadRange, read_sample_members
from shards.sample import Sample
from shards.version import Version
from train.settings import ValidationSettings
from train.world import World
from zero123.pipeline import Zero123Pipeline

Image = NDArray[np.uint8]
FOLDER, LOG = "validation", "validation.jsonl"
SHOWN_OBJECTS = 8


@dataclass(frozen=True)
class ScoredView:
    """A sampled view, the true view, and the object's input view."""

    uid: str
    source: int
    target: int
    input: UInt8[Image, "H W 3"]
    true: UInt8[Image, "H W 3"]
    sampled: UInt8[Image, "H W 3"]

    @property
    def psnr_db(self) -> float:
        """Peak signal-to-noise ratio, at most 100 dB."""
        # The formula would divide by zero.
        if np.array_equal(self.true, self.sampled):
            return 100.0
        return min(100.0, float(peak_signal_noise_ratio(self.true, self.sampled, data_range=255)))

    @property
    def ssim(self) -> float:
        """Structural similarity with a Gaussian window of σ 1.5 (Wang et al. 2004)."""
        window: dict[str, Any] = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        return float(structural_similarity(self.true, self.sampled, data_range=255, channel_axis=-1, **window))


@dataclass(frozen=True)
class ValidationScore:
    """Means over `views` views, after `images` images."""

    images: int
    views: int
    psnr_db: float
    ssim: float


class Validation:
    """The validation of a run on `samples`, with its scores so far. With `out` None, another rank writes the files."""

    def __init__(self, samples: Sequence[Sample], settings: ValidationSettings, out: Path | None, images: int) -> None:
        self.samples, self.settings, self.out = samples, settings, out
        self.scores = [score for score in read_scores(out) if score.images <= images] if out else []

    def sample_views(
        self, pipeline: Zero123Pipeline, seed: int, world: World, is_stopping: Callable[[], bool]
    ) -> list[ScoredView] | None:
        """Sample this rank's share of the objects. Returns None in every rank as soon as any rank is stopping."""
        scored: list[ScoredView] = []
        # In rounds, so that all ranks take part in the same number of decisions to stop.
        for first in range(0, len(self.samples), world.size):
            # Before each object and in every rank, also in a rank without an object in this round.
            if world.any_rank(is_stopping()):
                return None
            for sample in self.samples[first : first + world.size][world.rank :][:1]:
                scored += _sample_object(pipeline, sample, self.settings, seed)
        return scored

    def record(self, images: int, scored: Sequence[ScoredView]) -> ValidationScore:
        """Write the grid of pictures and the mean scores of all ranks' views."""
        means = [float(np.mean([getattr(view, name) for view in scored])) for name in ("psnr_db", "ssim")]
        score = ValidationScore(images, len(scored), *means)
        self.scores.append(score)
        if self.out:
            write_atomically(grid_path(self.out, images), encode_image(picture_grid(scored), "webp", quality=90))
            lines = "".join(json.dumps(asdict(past)) + "\n" for past in self.scores)
            write_atomically(self.out / LOG, lines.encode())
        return score


def held_out_samples(version: Version, ranges: ReadRange, count: int, on_damage: DamageHandler) -> list[Sample]:
    """Read the first `count` sound objects by uid from split `val`, or from `train` if `val` is empty.

    All good views are decoded once as a check. Damaged objects go to `on_damage`; if it returns, the next object is
    used instead. Raises Failure if no object is sound.
    """
    split = "val" if version.samples("val") else "train"
    found = list(islice(_sound_samples(version, split, ranges, on_damage), count))
    if not found:
        raise Failure(f"train.validation: expected a sound object in split {split!r}, got nothing")
    return found


def _sound_samples(version: Version, split: str, ranges: ReadRange, on_damage: DamageHandler) -> Iterator[Sample]:
    entries = [(shard, entry) for shard in version.split(split) for entry in shard.samples]
    # By uid, so that versions with the same objects are scored on the same views.
    for shard, entry in sorted(entries, key=lambda located: located[1].uid):
        try:
            sample = Sample(shard.name, entry.uid, read_sample_members(ranges, shard, entry))
            good_drawn_views(sample, tuple(range(version.views)), version.views)
            sample.check_good_views(views=version.views, hw=version.hw)
        except DamagedSample as damage:
            on_damage(damage)
        else:
            yield sample


def read_scores(out: Path) -> list[ValidationScore]:
    """Read the validation scores of a run, if there are any. Raises Failure for an invalid file."""
    path = out / LOG
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        return [ValidationScore(**json.loads(line)) for line in lines]
    except (ValueError, TypeError):
        raise Failure(f"{path}: expected the validations of this program, got something else") from None


def picture_grid(scored: Sequence[ScoredView]) -> Any:
    """Draw a column for each object's first target view: input, truth, sample."""
    # Reversed, because of several values for a key a dict keeps the last.
    columns = list({view.uid: view for view in reversed(scored)}.values())[::-1][:SHOWN_OBJECTS]
    pictures = [getattr(view, row) for row in ("input", "true", "sampled") for view in columns]
    labels = [f"input {view.source}" for view in columns] + [f"view {view.target}" for view in columns]
    labels += [f"{view.psnr_db:.1f} dB" for view in columns]
    return contact_sheet(pictures, labels=labels, columns=len(columns))


def grid_path(out: Path, images: int) -> Path:
    """Return the path of a validation's grid of pictures."""
    return out / FOLDER / f"{images:010d}.webp"


def _sample_object(
    pipeline: Zero123Pipeline, sample: Sample, settings: ValidationSettings, seed: int
) -> Iterator[ScoredView]:
    source, *others = sample.good_views
    targets = others[-settings.views :]
    cameras = sample.extrinsics
    poses = pose_vector(np.broadcast_to(cameras[source], (len(targets), 3, 4)), cameras[targets])
    views = pipeline.views(
        sample.image(source),
        pipeline.adapt_poses(poses, float(polar_angle(cameras[source]))),
        guidance_scale=settings.guidance_scale,
        steps=settings.steps,
        eta=settings.eta,
        # The same noise at every validation: a score then changes only with the weights.
        seeds=[stable_seed(seed, "validate", sample.uid, target) for target in targets],
    )
    shown = composite(sample.image(source))
    for target, view in zip(targets, views, strict=True):
        yield ScoredView(sample.uid, source, target, shown, composite(sample.image(target)), view)
