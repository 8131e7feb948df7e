"""Sampled views against true ones while training goes on: the same objects, poses and seeds every time."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from base.errors import Failure
from base.seeds import stable_seed
from base.storage import write_atomically
from geometry.relative import polar_angle, pose_vector
from report.contact_sheet import contact_sheet
from report.images import encoded, over
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
    """One sampled view beside the true one, RGB (H, W, 3) each, and the object's input view."""

    uid: str
    source: int
    target: int
    input: Image
    true: Image
    sampled: Image

    @property
    def psnr_db(self) -> float:
        """Peak signal-to-noise ratio, at most 100 dB."""
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
    """The means after `images` images over `views` views."""

    images: int
    views: int
    psnr_db: float
    ssim: float


class Validation:
    """The fixed views of one run, of `samples`, and what was found so far; `out` None leaves the files to another."""

    def __init__(self, samples: Sequence[Sample], settings: ValidationSettings, out: Path | None, images: int) -> None:
        self.samples, self.settings, self.out = samples, settings, out
        self.scores = [score for score in read_scores(out) if score.images <= images] if out else []

    def sample_views(
        self, pipeline: Zero123Pipeline, seed: int, world: World, asked: Callable[[], bool]
    ) -> list[ScoredView] | None:
        """Sample this rank's share of the objects; None in every rank once one of them is `asked` to stop."""
        scored: list[ScoredView] = []
        for first in range(0, len(self.samples), world.size):
            if world.any_rank(asked()):
                return None
            for sample in self.samples[first : first + world.size][world.rank :][:1]:
                scored += _sample_object(pipeline, sample, self.settings, seed)
        return scored

    def record(self, images: int, scored: Sequence[ScoredView]) -> ValidationScore:
        """Write the grid of pictures and the means of all ranks' views."""
        means = [float(np.mean([getattr(one, name) for one in scored])) for name in ("psnr_db", "ssim")]
        score = ValidationScore(images, len(scored), *means)
        self.scores.append(score)
        if self.out:
            write_atomically(grid_path(self.out, images), encoded(picture_grid(scored), "webp", quality=90))
            lines = "".join(json.dumps(asdict(one)) + "\n" for one in self.scores)
            write_atomically(self.out / LOG, lines.encode())
        return score


def held_out_samples(version: Version, ranges: ReadRange, count: int, on_damage: DamageHandler) -> list[Sample]:
    """The first sound objects by uid of split `val`, or of `train` where nothing is held out; all is decoded once.

    A damaged one is given to `on_damage`; where that returns, the next takes its place. Raises Failure where none is
    sound.
    """
    split = "val" if version.samples("val") else "train"
    found = list(islice(_sound_samples(version, split, ranges, on_damage), count))
    if not found:
        raise Failure(f"train.validation: expected a sound object in split {split!r}, got none")
    return found


def _sound_samples(version: Version, split: str, ranges: ReadRange, on_damage: DamageHandler) -> Iterator[Sample]:
    entries = [(shard, entry) for shard in version.split(split) for entry in shard.samples]
    for shard, entry in sorted(entries, key=lambda one: one[1].uid):
        try:
            sample = Sample(shard.name, entry.uid, read_sample_members(ranges, shard, entry))
            good_drawn_views(sample, tuple(range(version.views)), version.views)
            sample.check_good_views(views=version.views, hw=version.hw)
        except DamagedSample as damage:
            on_damage(damage)
        else:
            yield sample


def read_scores(out: Path) -> list[ValidationScore]:
    """What a run's validations found; none where there were none. Raises Failure for a foreign file."""
    path = out / LOG
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        return [ValidationScore(**json.loads(line)) for line in lines]
    except (ValueError, TypeError):
        raise Failure(f"{path}: expected the validations of this program, got something else") from None


def picture_grid(scored: Sequence[ScoredView]) -> Any:
    """Each object's first view as a column: input, truth, sample."""
    firsts = list({one.uid: one for one in reversed(scored)}.values())[::-1][:SHOWN_OBJECTS]
    pictures = [getattr(one, row) for row in ("input", "true", "sampled") for one in firsts]
    labels = [f"input {one.source}" for one in firsts] + [f"view {one.target}" for one in firsts]
    labels += [f"{one.psnr_db:.1f} dB" for one in firsts]
    return contact_sheet(pictures, labels=labels, columns=len(firsts))


def grid_path(out: Path, images: int) -> Path:
    """Where the grid of one validation lies."""
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
        seeds=[stable_seed(seed, "validate", sample.uid, target) for target in targets],
    )
    shown = over(sample.image(source))
    for target, view in zip(targets, views, strict=True):
        yield ScoredView(sample.uid, source, target, shown, over(sample.image(target)), view)
