"""Baselines from the training data: the nearest training view, and the mean of all.

For the nearest, the training view most like the input picture is found first. Its object then answers with the view
nearest to the requested camera, reached by the same relative motion from the found view. The baseline uses only what a
model is given too: a picture and a relative motion, without a position in the world.
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
"""Views compared at a time, which bounds the memory."""


@dataclass(frozen=True)
class TrainingViews:
    """N good views of some training objects, from version `version` of the dataset in `storage`.

    `small` (N, 768) holds each view's `small_picture`. `owners` (N, 2) holds the index of its object in `entries` and
    the number of the view. The full pictures stay in `storage`; `mean` (H, W, 3) is their mean on white.
    """

    storage: Storage
    version: int
    entries: tuple[Entry, ...]
    small: NDArray[np.uint8]
    owners: NDArray[np.int64]
    mean: Image

    def find_most_similar(self, rgba: Image) -> tuple[Sample, int]:
        """Find the object and number of the view with the least squared error, when small, to a uint8 (H, W, 4)."""
        wanted = small_picture(rgba).astype(np.int32)  # differences of bytes would wrap around
        parts = (self.small[start : start + AT_ONCE] for start in range(0, len(self.small), AT_ONCE))
        apart = np.concatenate([np.square(part - wanted).sum(axis=1) for part in parts])
        number, view = self.owners[int(np.argmin(apart))]
        return read_sample(self.storage, *self.entries[number]), int(view)

    def answers(self, rgba: Image, cam_from_world: ArrayLike, targets_from_world: ArrayLike) -> list[Image]:
        """Return an RGB picture for each target camera (T, 3, 4), given an input uint8 (H, W, 4) of a camera (3, 4)."""
        sample, view = self.find_most_similar(rgba)
        asked = centres_in_camera(cam_from_world, targets_from_world)
        offered = centres_in_camera(sample.extrinsics[view], sample.extrinsics[sample.good_views])
        apart = np.linalg.norm(asked[:, None] - offered, axis=-1)
        return [on_white(sample.image(sample.good_views[int(nearest)])) for nearest in apart.argmin(axis=1)]


def small_picture(rgba: Image) -> Image:
    """Reduce a uint8 picture (H, W, 4) on white to 16 × 16 pixels by averaging, as a vector (768,)."""
    return np.asarray(Pictures.fromarray(on_white(rgba)).resize(SMALL_HW, Pictures.Resampling.BOX)).reshape(-1)


def centres_in_camera(cam_from_world: ArrayLike, others_from_world: ArrayLike) -> NDArray[np.float64]:
    """Return the centres (N, 3) of cameras (N, 3, 4) in the coordinates of a camera (3, 4)."""
    camera = np.asarray(cam_from_world, np.float64)
    return np.asarray(camera_centre(others_from_world) @ camera[:, :3].T + camera[:, 3])


def load_training_views(
    version: Version, storage: Storage, settings: EvaluateSettings, evaluated: Sequence[Entry], progress: Progress
) -> TrainingViews | None:
    """Load the views of training objects, leaving out all `evaluated` objects by uid or bytes; None without any.

    The objects come from the split `train` of the dataset at `settings.training_root`, or of this dataset if that is
    empty. Without `training_root`, an evaluation of the split `train` itself has no training views. Raises Failure for
    a dataset without a version or with views of another size.
    """
    uids, digests = {entry.uid for _, entry in evaluated}, set[str]()
    if settings.training_root:
        # Another dataset may hold the same file under another uid.
        digests = {source_digest(read_sample(storage, *entry)) for entry in evaluated}
        storage = Storage(settings.training_root, "evaluate.training_root")
        hw, version = version.hw, read_version(storage)
        if version.hw != hw:
            raise Failure(f"evaluate.training_root: expected views of {hw} pixels, got {version.hw}")
    elif settings.split == SPLIT:
        return None
    entries = draw_objects(version, settings, uids)
    return index_views(storage, version, entries, digests - {""}, progress)


def source_digest(sample: Sample) -> str:
    """Return the SHA-256 of the object's source file; empty if the sample does not record it."""
    about = sample.facts.get("object")
    return str(about.get("sha256", "")) if isinstance(about, dict) else ""


def draw_objects(version: Version, settings: EvaluateSettings, evaluated: Set[str]) -> list[Entry]:
    """Draw at most `settings.training_objects` training objects. The draw depends on the seed and their uids alone."""
    # A draw by digest of the uid: more objects in the dataset change few of the drawn.
    return heapq.nsmallest(
        settings.training_objects,
        ((shard, entry) for shard in version.split(SPLIT) for entry in shard.samples if entry.uid not in evaluated),
        key=lambda entry: (stable_seed(settings.seed, "evaluate-training", entry[1].uid), entry[1].uid),
    )


def index_views(
    storage: Storage, version: Version, entries: Sequence[Entry], evaluated: Set[str], progress: Progress
) -> TrainingViews | None:
    """Index the good views of `entries`, leaving out objects whose bytes are in `evaluated`; None without any."""
    kept: list[Entry] = []
    small: list[Image] = []
    owners: list[tuple[int, int]] = []
    total = np.zeros((*version.hw, 3))
    with progress.task("training views", total=len(entries), unit="objects") as task:
        for entry in entries:
            sample = read_sample(storage, *entry)
            if source_digest(sample) not in evaluated:
                pictures = [sample.image(view, version.hw) for view in sample.good_views]
                small += [small_picture(picture) for picture in pictures]
                # A running sum: the pictures of all objects would not fit into memory.
                total += np.sum([on_white(picture) for picture in pictures], axis=0, dtype=np.float64)
                owners += [(len(kept), view) for view in sample.good_views]
                kept.append(entry)
            task.advance(note=sample.uid)
    if not small:
        return None
    mean = np.asarray(np.round(total / len(small)), np.uint8)
    return TrainingViews(storage, version.number, tuple(kept), np.stack(small), np.array(owners, np.int64), mean)
