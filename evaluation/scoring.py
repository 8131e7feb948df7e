"""Score a prediction folder under a protocol, object by object.

Each object has a fingerprint over protocol, truth, prediction and networks. A finished object with the same
fingerprint is kept, so the same command goes on after a stop. Results depend on nothing else: neither on the number of
workers nor on the order.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from base.digest import digest_json
from base.errors import Failure, UsageError
from evaluation.datasets.open import open_dataset
from evaluation.images.values import Values, resize, rgb_on_white
from evaluation.mesh_files import Z_UP_FROM_Y_UP
from evaluation.mesh_metrics import MeshComparison, failed_values
from evaluation.picture_metrics import Metric, Networks, Pair, picture_metrics, visible_on_white
from evaluation.predictions import Pixels, Predictions
from evaluation.protocol import MeshVariant, PictureVariant, Protocol
from evaluation.results import FACTS, ObjectResult, Row, Status, read_result
from evaluation.shapes.alignment import turn_about_z
from evaluation.shapes.triangles import Triangles
from evaluation.truth import TrueObject
from geometry.camera import camera_centre
from geometry.sphere import angle_deg, spherical_from_cartesian

Floats = NDArray[np.float64]

SCHEMA = 1
"""Changes when the same inputs would give other rows."""


@dataclass(frozen=True)
class ScoringJob:
    """All that a worker needs to score any object: it can be sent to another process."""

    protocol: Protocol
    data: Path
    predictions: Path
    networks: Networks
    rows: Path

    def sendable(self) -> "ScoringJob":
        """Return the job with absolute paths, without networks loaded here: each worker reads its own."""
        folders = {name: getattr(self, name).absolute() for name in ("data", "predictions")}
        return replace(self, networks=Networks(self.networks.lpips, self.networks.clip), **folders)


class Scorer:
    """Scores objects of a job."""

    def __init__(self, job: ScoringJob) -> None:
        self.job = job
        self.dataset = open_dataset(job.protocol.data.loader, job.data)
        self.predictions = Predictions(job.predictions)
        self._networks = job.networks.digests() if job.protocol.kind == "views" else {}

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """The measurable picture metrics by name. They load the networks, so only the first measurement makes them."""
        return picture_metrics(self.job.networks) if self.job.protocol.kind == "views" else {}

    def fingerprint(self, uid: str) -> str:
        """Digest all inputs of an object's figures."""
        try:
            truth = self.dataset.load(uid).digest()
        except (Failure, OSError) as error:
            # A damaged object has a fingerprint too, so a repaired one is measured again.
            truth = f"damaged: {error}"
        return digest_json(
            [SCHEMA, self.job.protocol.digest(), uid, truth, self.predictions.digest(uid), self._networks]
        )

    def finished(self, uid: str) -> ObjectResult | None:
        """Return the kept result of an object if its fingerprint is the same."""
        kept = read_result(self.job.rows, uid)
        return kept if kept and kept.fingerprint == self.fingerprint(uid) else None

    def score(self, uid: str) -> ObjectResult:
        """Measure an object. A damaged prediction counts as failed, with its reason.

        An object with a damaged truth is unusable: it has no rows, and no method is blamed.
        """
        fingerprint, rows = self.fingerprint(uid), tuple[Row, ...]()
        try:
            truth = self._read_truth(uid)
        except Failure as error:
            return ObjectResult(uid, fingerprint, "unusable", self._short(error), ())
        status: Status = "ok"
        reason = ""
        try:
            rows = tuple(truth.rows(self._predicted(truth.known)))
        except (Failure, ValueError) as error:
            status, reason = "failed", self._short(error)
            # A failure costs what the protocol says, or methods would gain by leaving out hard objects.
            rows = tuple(truth.rows(None))
        return ObjectResult(uid, fingerprint, status, reason, rows)

    def count_as_failed(self, uid: str, reason: str) -> ObjectResult:
        """Return what an object counts for without its prediction. It has no fingerprint: it is measured again."""
        try:
            return ObjectResult(uid, "", "failed", reason, tuple(self._read_truth(uid).rows(None)))
        except Failure as error:
            return ObjectResult(uid, "", "unusable", self._short(error), ())

    def pictures(self, uid: str, *, failed: bool) -> tuple[dict[int, Pixels], list[dict[int, Pixels]]]:
        """Return the true views of an object by target, and those of each predicted sample; white views if it `failed`.

        Raises Failure for a damaged truth or prediction.
        """
        truth = self._read_truth(uid)
        if isinstance(truth, _Meshes):
            raise UsageError(f"{uid}: expected a protocol of views, got meshes")
        return truth.pictures, [white_views(self.job.protocol)] if failed else self._predicted(truth.known)

    def _read_truth(self, uid: str) -> "_Views | _Meshes":
        truth = self.dataset.load(uid)
        protocol = self.job.protocol
        if protocol.kind == "meshes":
            if truth.read_mesh is None:
                raise Failure(f"{uid}: expected a truth with a mesh, got only views")
            return _Meshes(protocol, truth, truth.read_mesh())
        if max(*protocol.targets, *protocol.inputs) >= len(truth.views):
            raise Failure(f"{uid}: expected views up to {max(protocol.targets)}, got {len(truth.views)}")
        return _Views(
            protocol, truth, {number: truth.views[number].read() for number in protocol.targets}, self.metrics
        )

    def _predicted(self, truth: TrueObject) -> Any:
        protocol = self.job.protocol
        if protocol.kind == "meshes":
            return self._placed(self.predictions.mesh(truth.uid), truth)
        return self.predictions.view_samples(truth.uid, protocol.targets, len(truth.views), protocol.required_hw)

    def _short(self, error: Exception) -> str:
        """Return the sentence without this machine's folders: results are the same elsewhere."""
        return str(error).replace(f"{self.job.predictions}/", "").replace(f"{self.job.data}/", "")

    def _placed(self, mesh: Triangles, truth: TrueObject) -> Triangles:
        """Turn a mesh of the method's frame into the world of the truth."""
        frame = self.predictions.method.frame
        if frame == "world":
            return mesh
        camera = truth.views[self.job.protocol.inputs[0]].cam_from_world
        return mesh.transformed(world_from_mesh(frame, camera))


@dataclass(frozen=True)
class _Views:
    """The true pictures of an object by target."""

    protocol: Protocol
    known: TrueObject
    pictures: dict[int, Pixels]
    metrics: dict[str, Metric]

    def rows(self, samples: list[dict[int, Pixels]] | None) -> Iterator[Row]:
        """Measure each sample's views; white views if there are none."""
        yield from self._facts()
        for number, views in enumerate(samples or [white_views(self.protocol)]):
            for target in self.pictures:
                for variant, metric, value in self._measure(target, views[target]):
                    yield Row(variant, self.known.views[target].name, number, metric, value)

    def _measure(self, target: int, image: Pixels) -> Iterator[tuple[str, str, float]]:
        """Yield (variant, metric, figure). Variants with the same pictures share figures, which halves LPIPS's time."""
        known: dict[tuple[str, ...], float] = {}
        for name, variant in self.protocol.views.items():
            if target not in variant.targets:
                continue
            pair = make_pair(image, self.pictures[target], variant, self.protocol.hw)
            for metric in (metric for metric in variant.metrics if metric in self.metrics):
                key = (variant.compositing, variant.rounding, variant.resize, metric)
                if key not in known:
                    known[key] = self.metrics[metric](pair)
                yield name, metric, known[key]

    def _facts(self) -> Iterator[Row]:
        """Describe the true views, for figures by coverage and by angle."""
        seen = camera_centre(self.known.views[self.protocol.inputs[0]].cam_from_world)
        for target, true in self.pictures.items():
            view = self.known.views[target]
            yield Row(FACTS, view.name, 0, "coverage", float((true[..., 3] > 127).mean()))
            yield Row(FACTS, view.name, 0, "angle_deg", angle_deg(seen, camera_centre(view.cam_from_world)))


@dataclass(frozen=True)
class _Meshes:
    """The true mesh of an object."""

    protocol: Protocol
    known: TrueObject
    mesh: Triangles

    def rows(self, predicted: Triangles | None) -> Iterator[Row]:
        """Measure a mesh; without it, what a failed object counts for."""
        for name, variant in self.protocol.meshes.items():
            values = compare(variant, self.known, predicted, self.mesh) if predicted else failed_values(variant)
            yield from (Row(name, "", 0, metric, value) for metric, value in values.items())


def start_scorer(job: ScoringJob) -> Scorer:
    """Return the scorer of a process that does nothing else, with a single thread: figures depend on their number."""
    if job.networks.given:  # torch takes seconds to load, and other metrics do without it
        import torch

        torch.set_num_threads(1)
    return Scorer(job)


def world_from_mesh(frame: Literal["input", "camera"], cam_from_world: Floats) -> Floats:
    """Return the rotation (3, 3) of a z-up mesh of a frame into the world, given the first input's camera (3, 4)."""
    if frame == "camera":
        # Camera axes are y up and were turned z up with the file, so that is undone first.
        return np.asarray(cam_from_world[:, :3].T @ Z_UP_FROM_Y_UP.T)
    return turn_about_z(float(spherical_from_cartesian(camera_centre(cam_from_world))[1]))


def white_views(protocol: Protocol) -> dict[int, Pixels]:
    """Return what a failed object counts as: a white view for each target."""
    return dict.fromkeys(protocol.targets, np.full((*protocol.hw, 3), 255, np.uint8))


def compare(variant: MeshVariant, truth: TrueObject, predicted: Triangles, true: Triangles) -> dict[str, float]:
    """Compare two meshes in the world of the truth under a variant."""
    views = [(*view.pinhole.centred(view.cam_from_world), view.pinhole.hw) for view in truth.views]
    return MeshComparison(variant, truth.uid, predicted, true, views).values()


def make_pair(image: Pixels, true: Pixels, variant: PictureVariant, hw: tuple[int, int]) -> Pair:
    """Bring a prediction and a truth, uint8 RGB or RGBA, to the values of a variant."""
    image, true = (_in_size(pixels, variant, hw) for pixels in (image, true))
    values = rgb_on_white(image, variant.compositing, variant.rounding)
    mask = image[..., 3] > 127 if image.shape[-1] == 4 else visible_on_white(values)
    return Pair(values, rgb_on_white(true, variant.compositing, variant.rounding), mask, true[..., 3] > 127)


def values_of(pixels: Pixels, variant: PictureVariant, hw: tuple[int, int]) -> Values:
    """Bring a picture, uint8 RGB or RGBA, to the RGB values of a variant, (H, W, 3) in [0, 1]."""
    return rgb_on_white(_in_size(pixels, variant, hw), variant.compositing, variant.rounding)


def _in_size(pixels: Pixels, variant: PictureVariant, hw: tuple[int, int]) -> Pixels:
    return pixels if variant.resize == "refuse" else resize(pixels, hw, variant.resize)
