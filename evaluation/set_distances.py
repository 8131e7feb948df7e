"""Fréchet and kernel distance between all predicted views of a protocol and all true views.

They are distances of two sets of pictures, so they have no figure for an object and no interval. Their bias depends on
the number of pictures: compare only figures over the same objects.
"""

import io
from collections import defaultdict
from collections.abc import Sequence
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from base.digest import digest_json
from base.progress import Progress
from base.storage import write_atomically
from evaluation.images.feature_network import FeatureNetwork
from evaluation.images.frechet import Gaussian, frechet_distance, kernel_distance
from evaluation.images.values import to_bytes
from evaluation.predictions import Pixels
from evaluation.protocol import PictureVariant
from evaluation.results import ObjectResult
from evaluation.scoring import Scorer, values_of

Floats = NDArray[np.float64]
Features = dict[str, tuple[Floats, Floats]]
"""Variant → features (N, d) of predicted and of true views."""


def set_distances(
    scorer: Scorer, results: Sequence[ObjectResult], network: FeatureNetwork, progress: Progress
) -> dict[str, dict[str, float]]:
    """Return variant → metric → distance over all objects with a usable truth; failed objects count as white views.

    The features of finished objects are kept beside the rows. Raises Failure for fewer than two views.
    """
    sides: dict[str, tuple[list[Floats], list[Floats]]] = defaultdict(lambda: ([], []))
    usable = [result for result in results if result.status != "unusable"]
    with progress.task("features", total=len(usable), unit="objects") as task:
        for result in usable:
            for variant, (predicted, true) in _features_of(scorer, result, network).items():
                sides[variant][0].append(predicted)
                sides[variant][1].append(true)
            task.advance(note=result.uid)
    distances = {}
    for variant, (predicted_rows, true_rows) in sides.items():
        first, second = np.concatenate(predicted_rows), np.concatenate(true_rows)
        distances[variant] = {
            f"fid/{network.name}": frechet_distance(Gaussian.of(first), Gaussian.of(second)),
            f"kid/{network.name}": kernel_distance(first, second),
        }
    return distances


def _features_of(scorer: Scorer, result: ObjectResult, network: FeatureNetwork) -> Features:
    """Read an object's features, or compute and keep them."""
    path = scorer.job.rows.with_name("features") / f"{result.uid}.npz"
    # The digest of all inputs: features of another prediction or network are not reused.
    key = digest_json([result.fingerprint, network.digest])
    if (kept := _read_features(path.read_bytes() if path.is_file() else b"", key)) is not None:
        return kept
    made = _compute_features(scorer, result, network)
    arrays = {f"{variant}:{side}": rows for variant, both in made.items() for side, rows in enumerate(both)}
    stream = io.BytesIO()
    np.savez(stream, key=np.array(key), **arrays)  # type: ignore[arg-type]
    write_atomically(path, stream.getvalue())
    return made


def _read_features(data: bytes, key: str) -> Features | None:
    """Read a kept file; None if it is missing, damaged or of another fingerprint."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as kept:
            if str(kept["key"]) != key:
                return None
            variants = {name.rpartition(":")[0] for name in kept.files if name != "key"}
            return {variant: (kept[f"{variant}:0"], kept[f"{variant}:1"]) for variant in sorted(variants)}
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None


def _compute_features(scorer: Scorer, result: ObjectResult, network: FeatureNetwork) -> Features:
    true, samples = scorer.pictures(result.uid, failed=result.status == "failed")
    known: dict[tuple[str, str, str, bytes], Floats] = {}

    def features(picture: Pixels, variant: PictureVariant) -> Floats:
        # Variants mostly see the same pictures, and samples the same truths.
        key = (variant.compositing, variant.rounding, variant.resize, picture.tobytes())
        if key not in known:
            known[key] = network.features(to_bytes(values_of(picture, variant, scorer.job.protocol.hw)))
        return known[key]

    return {
        name: (
            np.stack([features(views[target], variant) for views in samples for target in variant.targets]),
            np.stack([features(true[target], variant) for target in variant.targets]),
        )
        for name, variant in scorer.job.protocol.views.items()
    }
