"""From a prediction folder to a scored folder: rows, the catalogue's table, summary, tables and page."""

from dataclasses import replace
from typing import TYPE_CHECKING

from base.progress import Progress
from evaluation.benchmark_files import say_summary
from evaluation.figures_table import write_figures
from evaluation.images.feature_network import FeatureNetwork
from evaluation.predictions import Predictions
from evaluation.running import objects_of, score_objects
from evaluation.scoring import Scorer, ScoringJob
from evaluation.set_distances import set_distances
from evaluation.summary import Summary, summarise, write_summary

if TYPE_CHECKING:
    from evaluation.score_crew import CrewSettings


def score_folder(
    name: str, job: ScoringJob, space: FeatureNetwork | None, workers: "int | CrewSettings", progress: Progress
) -> tuple[Summary, str]:
    """Score what a job lacks, and write all files beside its rows; return the summary and the tables in words.

    `name` is the protocol's. With a `space`, the distances of all views together are measured in it.
    """
    results = score_objects(job, workers, progress)
    used = job.networks.digests() if job.protocol.kind == "views" else {}
    summary = summarise(name, job.protocol, Predictions(job.predictions).method, results, used)
    if space:
        summary = replace(
            summary,
            distances=set_distances(Scorer(job), results, space, progress),
            networks={**used, f"features/{space.name}": space.digest},
        )
    out = job.rows.parent
    write_figures(out, results)
    write_summary(out, summary)
    return summary, say_summary(out, job.protocol, summary, job, len(objects_of(job)))
