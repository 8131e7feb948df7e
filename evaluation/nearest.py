"""The nearest training view: what someone would answer who only looks things up in the training data.

Of the training objects, the view most like the input picture is found; of that object, the view that is shown is the
one whose camera is nearest to the asked one, the move being taken from there. Both are asked with what a model is given
too: a picture and a relative motion, no place in the world.
"""

import heapq
from collections.abc import Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image as Pictures

from base.errors import Failure
from base.progress import Progress
from base.seeds import stable_seed
from base.storage import Storage
from evaluation.baselines import on_white
from evaluation.settings import EvaluateSettings
from geometry.camera import camera_centre
from shards.reader import read_sample
from shards.sample import Sample
from shards.version import SampleEntry, ShardEntry, Version, read_version

Image = NDArray[np.uint8]
Entry = tuple[ShardEntry, SampleEntry]

SPLIT = "train"
SMALL_HW = (16, 16)
AT_ONCE = 4096


@dataclass(frozen=True)
class TrainingViews:
    """N good views of some training objects, of version `version` of the dataset in `storage`.

    `small` (N, 768) are the pictures as `small_picture` has them; `owners` (N, 2) for each the number of its object in
    `entries` and its own number there. The pictures themselves stay in `storage`.
    """

    storage: Storage
    version: int
    entries: tuple[Entry, ...]
    small: NDArray[np.uint8]
    owners: NDArray[np.int64]

    def most_like(self, rgba: Image) -> tuple[Sample, int]:
        """The object and number of the view nearest to a picture uint8 (H, W, 4): least squared error when small."""
        wanted = small_picture(rgba).astype(np.int32)
        parts = (self.small[start : start + AT_ONCE] for start in range(0, len(self.small), AT_ONCE))
        apart = np.concatenate([np.square(part - wanted).sum(axis=1) for part in parts])
        number, view = self.owners[int(np.argmin(apart))]
        return read_sample(self.storage, *self.entries[number]), int(view)

    def answers(self, rgba: Image, cam_from_world: ArrayLike, targets_from_world: ArrayLike) -> list[Image]:
        """For an input uint8 (H, W, 4) of camera (3, 4), and target cameras (T, 3, 4), one RGB picture a target."""
        sample, view = self.most_like(rgba)
        asked = seen_from(cam_from_world, targets_from_world)
        offered = seen_from(sample.extrinsics[view], sample.extrinsics[sample.good_views])
        apart = np.linalg.norm(asked[:, None] - offered, axis=-1)
        return [on_white(sample.image(sample.good_views[int(nearest)])) for nearest in apart.argmin(axis=1)]


def small_picture(rgba: Image) -> Image:
    """A picture uint8 (H, W, 4) on white, averaged to 16 × 16 pixels and laid out as (768,)."""
    return np.asarray(Pictures.fromarray(on_white(rgba)).resize(SMALL_HW, Pictures.Resampling.BOX)).reshape(-1)


def seen_from(cam_from_world: ArrayLike, others_from_world: ArrayLike) -> NDArray[np.float64]:
    """Where cameras (N, 3, 4) stand, in the axes of camera (3, 4); (N, 3)."""
    camera = np.asarray(cam_from_world, np.float64)
    return np.asarray(camera_centre(others_from_world) @ camera[:, :3].T + camera[:, 3])


def training_views(
    version: Version, storage: Storage, settings: EvaluateSettings, evaluated: Sequence[Entry], progress: Progress
) -> TrainingViews | None:
    """The views to look among, of training objects that are not `evaluated`, by uid or bytes; None without any.

    They are those of `settings.training_root`, or of the split `train` of this dataset unless that is what is
    evaluated. Raises Failure for a dataset without a version or with views of another size.
    """
    uids, digests = {entry.uid for _, entry in evaluated}, set[str]()
    if settings.training_root:
        digests = {source_digest(read_sample(storage, *entry)) for entry in evaluated}
        storage = Storage(settings.training_root, "evaluate.training_root")
        hw, version = version.hw, read_version(storage)
        if version.hw != hw:
            raise Failure(f"evaluate.training_root: expected views of {hw} pixels, got {version.hw}")
    elif settings.split == SPLIT:
        return None
    entries = drawn(version, settings, uids)
    return indexed(storage, version, entries, digests - {""}, progress)


def source_digest(sample: Sample) -> str:
    """The sha256 of the file that an object was rendered from; empty where the sample does not tell it."""
    about = sample.facts.get("object")
    return str(about.get("sha256", "")) if isinstance(about, dict) else ""


def drawn(version: Version, settings: EvaluateSettings, evaluated: Set[str]) -> list[Entry]:
    """At most `settings.training_objects` training objects; which they are depends on the seed and their uids alone."""
    return heapq.nsmallest(
        settings.training_objects,
        ((shard, entry) for shard in version.split(SPLIT) for entry in shard.samples if entry.uid not in evaluated),
        key=lambda one: (stable_seed(settings.seed, "evaluate-training", one[1].uid), one[1].uid),
    )


def indexed(
    storage: Storage, version: Version, entries: Sequence[Entry], evaluated: Set[str], progress: Progress
) -> TrainingViews | None:
    """The good views of these objects of a version, made small, but of those of `evaluated` bytes; None without any."""
    kept: list[Entry] = []
    small: list[Image] = []
    owners: list[tuple[int, int]] = []
    with progress.task("training views", total=len(entries), unit="objects") as task:
        for entry in entries:
            sample = read_sample(storage, *entry)
            if source_digest(sample) not in evaluated:
                small += [small_picture(sample.image(view, version.hw)) for view in sample.good_views]
                owners += [(len(kept), view) for view in sample.good_views]
                kept.append(entry)
            task.advance(note=sample.uid)
    if not small:
        return None
    return TrainingViews(storage, version.number, tuple(kept), np.stack(small), np.array(owners, np.int64))
