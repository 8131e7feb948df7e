"""The whole chain. Each stage reads the files of the stage before."""

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from app.commands.build import build_settings
from app.demo_report import MESH, RENDER, SAMPLE, TRAIN, FinishedDemo, demo_facts
from app.evaluating import evaluate_into, shown_pairs
from app.reconstructing import reconstruct_into
from app.settings import Settings
from app.stages import Stages
from base.errors import Failure, UsageError
from base.progress import Progress
from base.storage import Storage, temporary_files, write_atomically
from evaluation.table import novel_views_json, novel_views_table
from geometry.camera import camera_centre
from geometry.sphere import spherical_from_cartesian
from inference.models import checkpoint_of, load_model
from inference.object_mesh import MeshRequest
from inference.sample_photo import LoadedModel
from pipeline.builder import build
from pipeline.update import BuildSummary
from report.pages.demo_facts import DemoFacts
from report.pages.demo_page import demo_page
from shards.reader import read_shard
from shards.sample import Sample
from shards.version import read_version
from train.loop import train
from train.spec import TrainSpec, TrainSummary
from train.state import finished_checkpoints
from zero123.digest import model_digest

OWN_FOLDERS = ("stages", "novel_views", "mesh")
"""Folders of the demo itself; dataset and model clean up their own."""
SHOWN_ELEVATION_RAD = np.radians(25.0)
"""A photo from about this elevation shows most of an object."""


def run_demo(settings: Settings, out: Path, chosen: str, progress: Progress) -> None:
    """Run every stage not yet done in `out`, and write the report.

    `chosen` is the start of the uid of the object to reconstruct. Raises UsageError for an unknown start, or when
    training would use views of the evaluation. Raises Failure, after the report, when model or mesh misses its goal.
    """
    # Otherwise the evaluation would measure views that the model was trained on.
    trained, asked = settings.train.held_out_views, settings.evaluate.held_out_views
    if trained < asked:
        raise UsageError(f"train.held_out_views: expected at least evaluate.held_out_views, {asked}, got {trained}")
    for folder in OWN_FOLDERS:
        for left in temporary_files(out / folder):  # by a run that was killed in the middle of a write
            left.unlink(missing_ok=True)
    write_atomically(out / "settings.yaml", settings.as_yaml().encode())
    chain = Chain(settings, out, progress)
    facts = demo_facts(chain.run(chosen))
    write_atomically(out / "report.html", demo_page(facts).encode())
    write_atomically(out / "report.json", (json.dumps(facts.numbers(), indent=2) + "\n").encode())
    progress.say(f"report: {out / 'report.html'}")
    # After the report: a missed goal is best understood from its pictures.
    _check_goals(facts)


class Chain:
    """The stages over one folder: dataset, model, novel views, mesh."""

    def __init__(self, settings: Settings, out: Path, progress: Progress) -> None:
        self.settings, self.out, self.progress = settings, out, progress
        self.storage = Storage(settings.storage.root)
        self.stages = Stages(out)

    def run(self, chosen: str) -> FinishedDemo:
        """Run every stage in order; results of an earlier run are read from its files."""
        built = self.build()
        version = read_version(self.storage)
        samples = {sample.uid: sample for shard in version.shards for sample in read_shard(self.storage, shard)}
        uid = _chosen_uid(samples, chosen)
        training = self.train()
        scores = self.evaluate()
        view = _chosen_view(samples[uid], scores)
        self.reconstruct(samples[uid], view)
        return FinishedDemo(
            self.settings, self.out, built, version, samples, training, scores, (uid, view), self.stages.costs
        )

    def build(self) -> BuildSummary:
        """Render and pack missing views."""
        summaries: list[BuildSummary] = []

        def work() -> bool:
            summaries.append(build(build_settings(self.settings), self.progress))
            return not summaries[0].idle

        self.stages.run(RENDER, work)
        return summaries[0]

    def train(self) -> TrainSummary:
        """Train to the last image."""
        # A list, since a stage's work returns only whether it did anything.
        summaries: list[TrainSummary] = []
        folder = self.out / "model"

        def work() -> bool:
            # A new checkpoint tells whether this run trained, or found the work done.
            before = finished_checkpoints(folder)[-1:]
            sampling = self.settings.sample.sampling()
            spec = TrainSpec(self.settings.model, self.settings.train, self.storage, folder, sampling)
            summaries.append(train(spec, self.progress))
            return before != finished_checkpoints(folder)[-1:]

        self.stages.run(TRAIN, work)
        return summaries[0]

    @cached_property
    def model_and_data(self) -> dict[str, Any]:
        """Inputs of the stages after training, as plain values."""
        model = model_digest(checkpoint_of(self.out / "model"))
        return {"model": model, "version": read_version(self.storage).number}

    def evaluate(self) -> dict[str, Any]:
        """Sample the held-out views; return the figures, and the pairs with pictures (`shown`)."""
        settings = self.settings.evaluate

        def work() -> dict[str, Any]:
            pipeline = load_model(self.out / "model", self.settings.train.device)
            version = read_version(self.storage)
            folder = self.out / "novel_views"
            result = evaluate_into(folder, pipeline, version, self.storage, settings, self.progress)
            self.progress.say(novel_views_table(result))
            return {**novel_views_json(result), "shown": shown_pairs(result)}

        return self.stages.run_once(SAMPLE, [self.model_and_data, settings.model_dump(mode="json")], work)

    def reconstruct(self, sample: Sample, view: int) -> None:
        """Make the mesh of a view."""
        settings = self.settings.reconstruct

        def work() -> dict[str, Any]:
            pipeline = load_model(self.out / "model", self.settings.train.device)
            request = MeshRequest(
                model=LoadedModel(pipeline=pipeline, digest=self.model_and_data["model"], source="demo"),
                rgba=sample.image(view),
                camera=sample.extrinsics[view],
                settings=self.settings,
                seed=self.settings.run.seed,
            )
            made = reconstruct_into(self.out / "mesh", request, self.settings.render, self.progress)
            self.progress.say(f"mesh of {sample.uid} from view {view}: silhouette IoU {made.iou:.3f}")
            return {"silhouette_iou": made.iou}

        inputs = [self.model_and_data, sample.uid, view, settings.model_dump(mode="json")]
        self.stages.run_once(MESH, inputs, work)


def _chosen_uid(samples: dict[str, Sample], start: str) -> str:
    found = sorted(uid for uid in samples if uid.startswith(start))
    if not found:
        raise UsageError(f"--object: expected the start of one of {', '.join(sorted(samples))}, got {start!r}")
    return found[0]


def _chosen_view(sample: Sample, scores: dict[str, Any]) -> int:
    """Choose the input view of the evaluation with the best elevation for this object."""
    asked = sorted({row["source"] for row in scores["rows"] if row["uid"] == sample.uid})
    sources = asked or list(range(len(sample.extrinsics)))
    polar, _, _ = spherical_from_cartesian(camera_centre(sample.extrinsics[sources]))
    return int(sources[int(np.argmin(np.abs(np.pi / 2 - polar - SHOWN_ELEVATION_RAD)))])


def _check_goals(facts: DemoFacts) -> None:
    scores, mesh = facts.scores, facts.mesh
    missed = []
    if not scores.passed:
        goal, got = f"{scores.goal_db:+.2f} dB", f"{scores.margin_db:+.2f} dB"
        missed.append(f"novel views: expected {goal} over the better trivial answer, got {got}")
    if not mesh.passed:
        missed.append(f"mesh: expected a silhouette IoU of at least {mesh.iou_goal:.2f}, got {mesh.iou:.3f}")
    if missed:
        raise Failure("\n".join(missed))
