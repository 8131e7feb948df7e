"""Training pairs: two views of an object and the camera's motion between them."""

from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from jaxtyping import Float16, Float64, UInt8
from numpy.typing import NDArray

from shards.damage import DamagedSample
from shards.sample import Sample


class PairFacts(TypedDict):
    """The fields of a `ViewPair`, for the constructors of its subclasses."""

    number: int
    uid: str
    source: int
    target: int
    R: NDArray[np.float64]
    T: NDArray[np.float64]
    pose: NDArray[np.float64]
    source_polar_rad: float


@dataclass(frozen=True, kw_only=True)
class ViewPair:
    """An ordered pair of views of object `uid`, without their pictures.

    `number` is the pair's number in the global order. `source` and `target` are the numbers of the input view and the
    target view. `R`, `T` and `pose` are defined in geometry.relative. `source_polar_rad` is the angle of the input
    camera from +z.
    """

    number: int
    uid: str
    source: int
    target: int
    R: Float64[NDArray[np.float64], "3 3"]
    T: Float64[NDArray[np.float64], "3"]
    pose: Float64[NDArray[np.float64], "4"]
    source_polar_rad: float


@dataclass(frozen=True, kw_only=True)
class Pair(ViewPair):
    """A pair with its pictures, as RGBA."""

    source_rgba: UInt8[NDArray[np.uint8], "H W 4"]
    target_rgba: UInt8[NDArray[np.uint8], "H W 4"]


@dataclass(frozen=True, kw_only=True)
class LatentPair(ViewPair):
    """A pair with cached latents instead of pictures.

    `embedding` holds the K vectors of the image encoder for the input view. K is 0 if that encoder is trained.
    """

    source_latents: Float16[NDArray[np.float16], "C h w"]
    target_latents: Float16[NDArray[np.float16], "C h w"]
    embedding: Float16[NDArray[np.float16], "K E"]


def pair_facts(number: int, sample: Sample, source: int, target: int) -> PairFacts:
    """Return the fields of pair `number`: two views of a sample. Raises DamagedSample if the pair is not stored."""
    pairs, row = sample.pairs, find_pair_row(sample, source, target)
    return PairFacts(
        number=number,
        uid=sample.uid,
        source=source,
        target=target,
        R=pairs.R[row],
        T=pairs.T[row],
        pose=pairs.pose[row],
        source_polar_rad=sample.polar_rad[source],
    )


def find_pair_row(sample: Sample, source: int, target: int) -> int:
    """Find a pair in the sample's pairs. Raises DamagedSample unless it is stored exactly once."""
    if (row := sample.pairs.find_row(source, target)) is None:
        raise DamagedSample(sample.shard, sample.uid, f".pairs.npz: expected pair {source} → {target} once")
    return row


def good_drawn_views(sample: Sample, drawn: tuple[int, ...], count: int) -> tuple[int, ...]:
    """Return the good views of an object among `drawn`.

    Raises DamagedSample for an object with fewer than two of them, or with another number of views than `count`.
    """
    sample.check_count(count)
    sound = set(sample.good_views)
    good = tuple([view for view in drawn if view in sound])
    if len(good) < 2:
        raise DamagedSample(
            sample.shard, sample.uid, f": expected at least two good views of {list(drawn)}, got {good}"
        )
    return good
