"""Make the tables of the Zero-1-to-3 paper: predict and score what is missing, then write the tables."""

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from app.answering import ModelAnswers, workers_of, write_answers
from app.baselines import Answer, Baselines, answers_kind
from app.commands.options import settings_of, writable_folder
from base.errors import Failure, UsageError
from base.progress import Progress, standard_progress
from base.versions import versions
from evaluation.benchmark_files import write_comparison
from evaluation.datasets.linked import link_models
from evaluation.datasets.open import open_dataset
from evaluation.images.feature_network import open_feature_network
from evaluation.paper_tables import NAME, PAPER_TABLES, MeasuredTable, PaperTable, write_paper_tables
from evaluation.picture_metrics import Networks
from evaluation.predictions import Method
from evaluation.protocol import Protocol, read_protocol
from evaluation.scored_folder import score_folder
from evaluation.scoring import ScoringJob
from evaluation.summary import Summary


@dataclass(frozen=True)
class _Run:
    """What all tables share: the flags, the folder of each data set, and the model, if there is one."""

    options: argparse.Namespace
    data: dict[str, Path | None]
    model: ModelAnswers | None
    progress: Progress


def make_paper_tables(options: argparse.Namespace) -> int:
    """Make the tables of a command's flags; return its exit code."""
    if options.dry_run:
        print(settings_of(options).as_yaml())
        return 0
    tables = _asked_tables(options)
    out, progress = writable_folder(options.out), standard_progress()
    data = _data_folders(options, out, progress)
    model = None if options.no_model else ModelAnswers(options)
    run = _Run(options, data, model, progress)
    measured = [_measure(run, table) for table in tables]
    about = {each.table.title: f"{each.table.protocol} {each.protocol.digest()}" for each in measured}
    print(write_paper_tables(out, measured, {**about, **versions()}))
    print(f"tables: {out / NAME}.html, .tex, .csv, .json, .md")
    return 1 if any(summary.failed or summary.unusable for each in measured for summary in each.summaries) else 0


def _asked_tables(options: argparse.Namespace) -> list[PaperTable]:
    """Read and check the flags."""
    known = {str(table.number): table for table in PAPER_TABLES}
    asked = [word.strip() for word in options.tables.split(",")]
    if not set(asked) <= known.keys():
        raise UsageError(f"--tables: expected numbers out of {', '.join(known)}, got {options.tables!r}")
    if not (options.gso or options.rtmv):
        raise UsageError("paper-tables: expected --gso or --rtmv, got no data")
    if options.no_model and not (options.predictions or options.baseline):
        raise UsageError("--no-model: expected --predictions or --baseline, got no method")
    if options.first is not None and options.first < 1:
        raise UsageError(f"--first: expected at least 1, got {options.first}")
    for folder in options.predictions:
        if not any((folder / table.protocol).is_dir() for table in PAPER_TABLES):
            names = ", ".join(table.protocol for table in PAPER_TABLES)
            raise UsageError(f"{folder}: expected prediction folders {names}, got other names")
    return [known[word] for word in sorted(set(asked))]


def _data_folders(options: argparse.Namespace, out: Path, progress: Progress) -> dict[str, Path | None]:
    """Return the folder of each data set. With --gso-models, scans get their meshes beside links to their views."""
    gso = options.gso
    if gso and options.gso_models:
        linked = out / "data" / "gso"
        for uid, reason in link_models(gso, options.gso_models, linked).items():
            progress.say(f"{uid}: no mesh: {reason}")
        gso = linked
    return {"gso": gso, "rtmv": options.rtmv}


def _measure(run: _Run, table: PaperTable) -> MeasuredTable:
    """Predict and score every method of a table; a table without data has its printed rows alone."""
    protocol, data = read_protocol(table.protocol), run.data[table.data]
    if data is None:
        return MeasuredTable(table, protocol, missing=f"Not measured: no data, --{table.data} gives it.")
    protocol = _of_first(protocol, data, run.options.first)
    if protocol.kind == "meshes" and not _has_mesh(protocol, data):
        flag = " --gso-models gives them." if table.data == "gso" else ""
        return MeasuredTable(table, protocol, missing=f"Not measured: the objects have no true meshes.{flag}")
    home = run.options.out / table.protocol
    scored = [
        (home / name, _score(run, table, ScoringJob(protocol, data, predictions, Networks(), home / name / "rows")))
        for name, predictions in _predictions(run, table, protocol, data)
    ]
    if not scored:
        return MeasuredTable(table, protocol, missing="Not measured: no method answers it.")
    write_comparison(home, protocol, scored)
    return MeasuredTable(table, protocol, tuple(summary for _, summary in scored))


def _of_first(protocol: Protocol, folder: Path, count: int | None) -> Protocol:
    """Reduce a protocol to the objects at hand, or to the first of them. Other objects are another digest."""
    uids = open_dataset(protocol.data.loader, folder).uids()[:count]
    if not uids:
        raise UsageError(f"{folder}: expected objects for {protocol.data.loader}, got an empty folder")
    return replace(protocol, data=replace(protocol.data, objects=uids))


def _has_mesh(protocol: Protocol, folder: Path) -> bool:
    dataset = open_dataset(protocol.data.loader, folder)
    for uid in protocol.data.objects:
        try:
            if dataset.load(uid).read_mesh:
                return True
        except Failure:  # a damaged object is a row of the table, if there is a table
            continue
    return False


def _predictions(run: _Run, table: PaperTable, protocol: Protocol, data: Path) -> Iterator[tuple[str, Path]]:
    """Write the answers that are missing; yield the name of each method's folder, and its prediction folder."""
    home = run.options.out / table.protocol
    for name, method, answer in _answers(run, protocol, data, home):
        write_answers(protocol, data, method, answer, home / name / "predictions", run.progress)
        yield name, home / name / "predictions"
    for number, folder in enumerate(run.options.predictions, start=1):
        if (folder / table.protocol).is_dir():
            yield f"predictions-{number}-{_slug(folder.resolve().name)}", folder / table.protocol


def _answers(run: _Run, protocol: Protocol, data: Path, home: Path) -> Iterator[tuple[str, Method, Answer]]:
    if run.model:
        yield "model", *run.model.method(protocol.kind, home / "model")
    for name in run.options.baseline:
        if answers_kind(name, protocol.kind):
            work = home / f"baseline-{name}" / "work"
            baselines = Baselines(options=run.options, protocol=protocol, data=data, work=work, progress=run.progress)
            yield f"baseline-{name}", *baselines.method(name)


def _score(run: _Run, table: PaperTable, job: ScoringJob) -> Summary:
    options, space = run.options, None
    if job.protocol.kind == "views":
        job = replace(job, networks=Networks(options.lpips, options.clip))
        space = open_feature_network(options.features) if options.features else None
    return score_folder(table.protocol, job, space, workers_of(options), run.progress)[0]


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:64]
