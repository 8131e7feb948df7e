"""The held-out objects of a dataset of this project: the split `val` of its newest version."""

from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from base.digest import digest_json
from base.errors import Failure
from base.storage import Storage
from evaluation.truth import Pinhole, TrueObject, TrueView
from geometry.camera import PAPER_LENS
from shards.reader import read_sample
from shards.sample import Sample
from shards.version import SampleEntry, ShardEntry, Version, read_version

SPLIT = "val"


class Shards:
    """The data set in a dataset's folder. Views have the paper's lens, as all views of a build."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def uids(self) -> tuple[str, ...]:
        """See `DataSet.uids`."""
        return tuple(sorted(self._entries))

    def load(self, uid: str) -> TrueObject:
        """See `DataSet.load`."""
        if uid not in self._entries:
            raise Failure(f"{self.root}: expected {uid} in split {SPLIT}, got no such object")
        shard, _ = self._entries[uid]
        sample = read_sample(Storage(str(self.root)), *self._entries[uid])
        # Damaged samples are refused here, before a method is blamed for them.
        sample.check_good_views(views=self._version.views, hw=self._version.hw)
        hw = (int(self._version.hw[0]), int(self._version.hw[1]))
        views = tuple(
            TrueView(
                name=f"{number:03d}",
                cam_from_world=np.asarray(camera, np.float64),
                pinhole=Pinhole.of_lens(PAPER_LENS, hw),
                read=partial(_pixels, sample, number),
            )
            for number, camera in enumerate(sample.extrinsics)
        )
        # A shard's name holds the digest of its bytes.
        return TrueObject(uid=uid, views=views, known_digest=digest_json([uid, shard.name, shard.sha256]))

    @cached_property
    def _version(self) -> Version:
        return read_version(Storage(str(self.root)))

    @cached_property
    def _entries(self) -> dict[str, tuple[ShardEntry, SampleEntry]]:
        shards = self._version.split(SPLIT)
        return {entry.uid: (shard, entry) for shard in shards for entry in shard.samples}


def _pixels(sample: Sample, number: int) -> NDArray[np.uint8]:
    return np.asarray(sample.image(number))
