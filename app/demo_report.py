"""Results of the demo's stages, gathered for the report."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from app.evaluating import pair_pictures
from app.reconstructing import MESH_FILE, read_reconstructed
from app.settings import Settings
from base.data_files import read_named
from base.measure import StageCost
from base.versions import machine, versions
from evaluation.table import novel_views_notes
from geometry.rig import RIGS, Rig
from inference.models import load_model
from pipeline.update import BuildSummary
from report.numbers import count_text
from report.pages import demo_facts as facts
from report.pages.answers import MEASURES
from shards.sample import Sample
from shards.version import Version
from train.spec import TrainSummary
from zero123.model import trained_parts

MB = 1_000_000
RENDER, TRAIN, SAMPLE, MESH = "render", "train", "novel-views", "mesh"


@dataclass(frozen=True)
class FinishedDemo:
    """A finished chain: results and costs of its stages.

    `mesh_of` is the (uid, view) of the mesh's photo.
    """

    settings: Settings
    out: Path
    built: BuildSummary
    version: Version
    samples: dict[str, Sample]
    training: TrainSummary
    scores: dict[str, Any]
    mesh_of: tuple[str, int]
    costs: dict[str, StageCost]


def demo_facts(chain: FinishedDemo) -> facts.DemoFacts:
    """Gather the contents of the report."""
    settings, version = chain.settings, chain.version
    held_out = tuple(range(version.views - settings.train.held_out_views, version.views))
    return facts.DemoFacts(
        objects=tuple(_object(sample, held_out) for sample in chain.samples.values()),
        render=_render(chain),
        train=_train(chain),
        scores=_scores(settings, chain.scores),
        pairs=_pairs(chain),
        mesh=_mesh(chain),
        stages=_stages(chain),
        pairs_chosen="a held-out pair of each object",
        machine=_machine(),
        versions=versions(),
        settings_digest=settings.digest(),
        seed=settings.run.seed,
        commands=("make demo", "zero123 demo --help"),
    )


def _object(sample: Sample, held_out: tuple[int, ...]) -> facts.ObjectFacts:
    about = sample.facts["object"]
    return facts.ObjectFacts(
        uid=sample.uid,
        title=about["title"] or sample.uid,
        views=tuple(sample.image(view) for view in range(len(sample.extrinsics))),
        extrinsics=sample.extrinsics,
        held_out=held_out,
        licence=about["licence"],
        author=about["author"],
        source=about["page"] or about["source"],
    )


def _render(chain: FinishedDemo) -> facts.RenderFacts:
    version = chain.version
    objects = len(chain.samples)
    return facts.RenderFacts(
        hw=version.hw,
        samples=chain.settings.render.samples,
        rendered=chain.built.rendered,
        reused=chain.built.reused,
        version=version.number,
        pairs=objects * version.views * (version.views - 1),
        shards=len(version.shards),
        dataset_bytes=sum(shard.bytes for shard in version.shards),
    )


def _train(chain: FinishedDemo) -> facts.TrainFacts:
    training, settings = chain.training, chain.settings
    rows = [row for row in training.log if row.loss is not None]
    parts = trained_parts(load_model(chain.out / "model", "cpu")).values()
    return facts.TrainFacts(
        hw=settings.model.hw,
        init=Path(settings.train.init).name if settings.train.init else "",
        parameters=sum(parameter.numel() for part in parts for parameter in part.parameters()),
        images=training.images,
        seconds=training.seconds,
        batch=settings.train.batch,
        images_seen=np.array([row.images for row in rows], np.float64),
        loss=np.array([row.loss for row in rows]),
        learning_rate=np.array([row.learning_rate for row in rows]),
    )


def _scores(settings: Settings, scores: dict[str, Any]) -> facts.ScoreFacts:
    return facts.ScoreFacts(
        pairs=scores["pairs"],
        guidance_scale=settings.evaluate.guidance_scale,
        sampling_steps=settings.evaluate.steps,
        means={measure: scores[measure] for measure in MEASURES if scores[measure]},
        notes=tuple(novel_views_notes(scores)),
        goal_db=settings.evaluate.minimum_margin_db,
    )


def _pairs(chain: FinishedDemo) -> tuple[facts.PairFacts, ...]:
    """Choose a pair of each object: the first, but for the mesh's object the first from the mesh's own photo."""
    scores = chain.scores
    chosen: dict[str, dict[str, Any]] = {}
    # False sorts before True: pairs of the mesh's own photo come first.
    for pair in sorted(scores["shown"], key=lambda pair: (pair["uid"], pair["source"]) != chain.mesh_of):
        chosen.setdefault(pair["uid"], pair)
    rows = {(row["uid"], row["source"], row["target"]): row for row in scores["rows"]}
    return tuple(
        _pair(chain.out, pair, rows[pair["uid"], pair["source"], pair["target"]]) for _, pair in sorted(chosen.items())
    )


def _pair(out: Path, pair: dict[str, Any], row: dict[str, Any]) -> facts.PairFacts:
    shown, novel, true = pair_pictures(out / "novel_views", pair)
    return facts.PairFacts(
        uid=pair["uid"],
        source=pair["source"],
        target=pair["target"],
        input=shown,
        novel=novel,
        true=true,
        psnr_model_db=row["psnr"]["model"],
        psnr_input_db=row["psnr"]["input"],
    )


def _mesh(chain: FinishedDemo) -> facts.MeshFacts:
    (uid, view), settings = chain.mesh_of, chain.settings
    sample, made = chain.samples[uid], read_reconstructed(chain.out / "mesh")
    return facts.MeshFacts(
        uid=sample.uid,
        view=view,
        input=sample.image(view),
        input_cam_from_world=sample.extrinsics[view],
        vertices=made.mesh.vertices,
        faces=made.mesh.faces,
        colours=made.mesh.colours,
        silhouette=made.silhouette,
        turntable=tuple(made.turntable),
        iou=made.iou,
        iou_goal=settings.evaluate.minimum_silhouette_iou,
        steps=_score_steps(settings),
        views=_fitted_views(settings),
        glb=chain.out / "mesh" / MESH_FILE,
    )


def _score_steps(settings: Settings) -> int:
    """Count the steps of the score; 0 where a surface is fitted to sampled views instead."""
    asked = settings.reconstruct
    return sum(stage.steps for stage in asked.stages) if asked.method == "score" else 0


def _fitted_views(settings: Settings) -> int:
    """Count the sampled views that the surface is fitted to; 0 with the score."""
    asked = settings.reconstruct
    if asked.method != "views":
        return 0
    return len(read_named(Rig, asked.views.rig, RIGS, "reconstruct.views.rig").cameras)


def _stages(chain: FinishedDemo) -> tuple[facts.StageFacts, ...]:
    settings, shards = chain.settings, len(chain.version.shards)
    views = len(chain.samples) * chain.version.views
    unit = "step" if settings.evaluate.steps == 1 else "steps"
    steps, fitted = _score_steps(settings), _fitted_views(settings)
    notes = {
        RENDER: f"{views} views with Blender Cycles on a local Ray, packed into {shards} shards",
        TRAIN: f"{count_text(chain.training.images)} images, batches of {settings.train.batch}",
        SAMPLE: f"{chain.scores['pairs']} held-out views, {settings.evaluate.steps} {unit} each",
        MESH: f"a surface fitted to {fitted} sampled views" if fitted else f"{steps} steps of Score Jacobian Chaining",
    }
    costs = chain.costs
    return tuple(
        facts.StageFacts(name=name, note=note, seconds=costs[name].seconds, peak_bytes=round(costs[name].peak_mb * MB))
        for name, note in notes.items()
    )


def _machine() -> str:
    about = machine()
    return f"{about['cores']} cores of {about['processor']}, {int(about['memory_mb']) / 1000:.0f} GB of memory"
