"""Baselines as methods of a benchmark, with what each needs: training data, or the networks of other papers."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.commands.options import settings_of
from base.errors import UsageError
from base.progress import Progress
from evaluation.datasets.open import open_dataset
from evaluation.methods import MESH_METHODS, VIEW_METHODS, MeshMethod, ViewMethod
from evaluation.predictions import Method
from evaluation.protocol import Kind, Protocol

Answer = ViewMethod | MeshMethod

NEAREST = "nearest"
LEARNT: Mapping[str, tuple[Kind, ...]] = {NEAREST: ("views",)}
"""Baselines that need data or networks, with the kinds of protocols they answer."""
BASELINES = (*VIEW_METHODS, *MESH_METHODS, *LEARNT)
WORDS = {
    "mean": "mean of the true views (oracle)",
    "input": "input copied",
    "hull": "visual hull (oracle)",
    NEAREST: "nearest training view",
}


def answers_kind(name: str, kind: Kind) -> bool:
    """Say whether a baseline answers a kind of protocol."""
    return kind in LEARNT[name] if name in LEARNT else name in (VIEW_METHODS if kind == "views" else MESH_METHODS)


@dataclass(frozen=True, kw_only=True)
class Baselines:
    """The baselines for a protocol over `data`, as a command's flags and settings describe them."""

    options: argparse.Namespace
    protocol: Protocol
    data: Path
    progress: Progress

    def method(self, name: str) -> tuple[Method, Answer]:
        """Return a baseline as a method.

        Raises UsageError for a baseline of the other kind and for a missing flag or setting, Failure for unusable
        files behind them.
        """
        kind = self.protocol.kind
        if not answers_kind(name, kind):
            known = [other for other in BASELINES if answers_kind(other, kind)]
            raise UsageError(f"--baseline: expected {', '.join(known)} for {kind}, got {name}")
        if name == NEAREST:
            return self._nearest()
        plain: Mapping[str, Answer] = VIEW_METHODS if kind == "views" else MESH_METHODS
        # Tables must say which answers know the truth.
        return Method(name=WORDS.get(name, name), frame="world"), plain[name]

    def _nearest(self) -> tuple[Method, Answer]:
        from evaluation.nearest_method import NearestTrainingView, open_training_views

        section, source = settings_of(self.options).evaluate, self.protocol.data
        # The evaluated dataset may hold training objects of its own.
        root = section.training_root or (str(self.data) if source.loader == "shards" else "")
        if not root:
            raise UsageError("--baseline nearest: expected a dataset, --set evaluate.training_root=DIR, got none")
        evaluated = set(source.objects or open_dataset(source.loader, self.data).uids())
        answer = NearestTrainingView(open_training_views(root, section, evaluated, self.progress))
        return Method(name=WORDS[NEAREST], settings=answer.settings(), frame="world"), answer
