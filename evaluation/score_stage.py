"""Scoring as a stage of the pipeline: an object of a protocol becomes the file of its rows."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from base.outcomes import Outcome
from evaluation.results import write_result
from evaluation.scoring import Scorer, ScoringJob, start_scorer
from pipeline.catalog.objects import SourceObject
from pipeline.work.stage import ItemWork, Stage, StageResult
from report.wording import Wording

SCORING = Wording("benchmark score", "object", "score", "scored", "the measurement")
ROWS = "json"
"""The member with the rows of an object: the file in `rows/`."""


@dataclass(frozen=True)
class ScoreStage(Stage):
    """Measure objects of a job. An item with `about` counts as failed for that reason, and is not measured."""

    job: ScoringJob

    wording = SCORING
    rooms = ("evaluation", "inference", "photo", "reconstruct", "render", "report", "zero123")
    packages = ("opencv-python-headless", "scikit-image", "scipy", "torch", "transformers", "trimesh")
    suffixes = frozenset[str]()

    def fingerprint(self, sha256: str) -> str:
        """Return the digest itself: it covers the protocol, the truth, the prediction and the networks."""
        return sha256

    def digest(self, uid: str) -> str:
        """Return the fingerprint of an object's figures. Raises OSError."""
        return self._scorer.fingerprint(uid)

    def read(self, item: SourceObject, folder: Path) -> tuple[Path, str] | None:
        """Return the data set's folder with the fingerprint of an object's figures. Raises OSError."""
        return Path(item.location), self.digest(item.uid)

    def do(self, work: ItemWork) -> StageResult:
        """Measure an object. Damaged objects have rows, too, so every measured object ends well."""
        work.enter("score")
        began = time.monotonic()
        uid, reason = work.item.uid, work.item.about
        result = self._scorer.count_as_failed(uid, reason) if reason else self._scorer.score(uid)
        write_result(work.out, result)
        seconds = {"score": time.monotonic() - began}
        return StageResult(outcome=Outcome.OK, checks=result.status, reason=result.reason, seconds=seconds)

    def record(self, folder: Path, facts: Mapping[str, str]) -> dict[str, bytes]:
        """Return the rows of an object."""
        return {ROWS: (folder / f"{facts['uid']}.json").read_bytes()}

    def close(self) -> None:
        """End nothing: the networks end with the worker."""

    @cached_property
    def _scorer(self) -> Scorer:
        return start_scorer(self.job)
