"""The verbs of `zero123 benchmark`."""

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path

from app.answering import ModelAnswers, workers_of, write_answers
from app.baselines import Answer, Baselines
from app.commands.options import settings_of
from base.errors import Failure, UsageError
from base.progress import Progress, standard_progress
from evaluation.benchmark_files import write_comparison
from evaluation.check import check_object
from evaluation.datasets.open import open_dataset
from evaluation.images.feature_network import FeatureNetwork, open_feature_network
from evaluation.methods import noisy_views, shifted_views, true_mesh, true_views, visual_hull
from evaluation.picture_metrics import Networks
from evaluation.predicting import export_inputs
from evaluation.predictions import Method, Predictions
from evaluation.protocol import Protocol, protocol_names, read_protocol
from evaluation.scored_folder import score_folder
from evaluation.scoring import ScoringJob
from evaluation.summary import read_summary
from evaluation.truth import TrueObject


def run_list(_options: argparse.Namespace) -> int:
    """Print a line for each protocol."""
    for name in protocol_names():
        protocol = read_protocol(name)
        print(f"{name:16} {protocol.digest()}  {protocol.title}: variants {', '.join(protocol.variants)}")
    return 0


def run_show(options: argparse.Namespace) -> int:
    """Print a protocol in words."""
    from evaluation.protocol_words import protocol_words

    print(protocol_words(options.protocol, read_protocol(options.protocol)))
    return 0


def run_check(options: argparse.Namespace) -> int:
    """Check each object; exit code 1 when some object is damaged or disagrees."""
    protocol = _protocol(options)
    dataset, bad = open_dataset(protocol.data.loader, options.data), 0
    for uid in protocol.data.objects or dataset.uids():
        try:
            sentence, good = _checked(protocol, dataset.load(uid))
        except Failure as error:
            sentence, good = str(error), False
        # Goes on after a damaged object, so that one run names all of them.
        bad += not good
        print(f"{'ok ' if good else 'BAD'} {uid}: {sentence}")
    return 1 if bad else 0


def _checked(protocol: Protocol, truth: TrueObject) -> tuple[str, bool]:
    known, digest = protocol.data.sha256.get(truth.uid), truth.pixel_digest()
    # Pixels, not files: a lossless copy in another format is the same data set.
    if known and known != digest:
        return f"expected pixels with the digest {known}, got {digest}", False
    pixels = f"{len(truth.views)} views, pixels {digest}{' as known' if known else ''}"
    if truth.read_mesh is None:
        return f"{pixels}, no mesh", True
    found = check_object(truth, truth.read_mesh())
    least = min(found, key=lambda view: view.iou)
    # NaN, for views without depths, is not equal to itself.
    depths = [view.depth_error for view in found if view.depth_error == view.depth_error]
    depth = f", depth within {max(depths):.2g}" if depths else ""
    sentence = f"{pixels}, mesh on alpha IoU at least {least.iou:.6f} (view {least.view}){depth}"
    return sentence, least.iou >= protocol.data.check_iou


def run_predict(options: argparse.Namespace) -> int:
    """Write a prediction folder, or the inputs for another program."""
    if options.dry_run:
        print(settings_of(options).as_yaml())
        return 0
    protocol, progress = _protocol(options), standard_progress()
    if options.export_only:
        dataset = open_dataset(protocol.data.loader, options.data)
        uids = protocol.data.objects or dataset.uids()
        export_inputs(options.protocol, protocol, dataset, uids, options.out, progress)
        print(f"{len(uids)} objects in {options.out}; {options.out / 'README.md'} explains the answer")
        return 0
    _predict(options, protocol, options.out, progress)
    print(f"predictions: {options.out}")
    return 0


def run_mesh(options: argparse.Namespace) -> int:
    """Make meshes of Point-E's clouds; exit code 1 when a cloud has none."""
    from evaluation.cloud_meshes import mesh_clouds
    from evaluation.point_e import PointESdf
    from zero123.device import torch_device

    if not 8 <= options.grid_size <= 512:
        raise UsageError(f"--grid-size: expected 8 to 512, got {options.grid_size}")
    predictions = Predictions(options.predictions)
    network = PointESdf.from_file(options.point_e, torch_device(options.device))
    reasons = mesh_clouds(predictions, network, options.grid_size, standard_progress())
    for uid, reason in reasons.items():
        print(f"no mesh: {uid}: {reason}")
    print(f"meshes: {options.predictions / 'meshes'}")
    return 1 if reasons else 0


def run_score(options: argparse.Namespace) -> int:
    """Score a prediction folder; exit code 1 when an object failed."""
    if options.dry_run:
        print(settings_of(options).as_yaml())
        return 0
    return _score(options, _protocol(options), options.predictions, standard_progress())


def run_run(options: argparse.Namespace) -> int:
    """Predict into OUT/predictions, then score."""
    if options.dry_run:
        print(settings_of(options).as_yaml())
        return 0
    protocol, progress = _protocol(options), standard_progress()
    # Inside the output, so that the same command finds what it has already answered.
    _predict(options, protocol, options.out / "predictions", progress)
    return _score(options, protocol, options.out / "predictions", progress)


def run_oracle(options: argparse.Namespace) -> int:
    """Answer with the truth or with a known error, then score."""
    if options.dry_run:
        print(settings_of(options).as_yaml())
        return 0
    protocol, progress = _protocol(options), standard_progress()
    predictions = options.out / "predictions"
    method, answer = _oracle(options, protocol)
    write_answers(protocol, options.data, method, answer, predictions, progress)
    return _score(options, protocol, predictions, progress)


def run_compare(options: argparse.Namespace) -> int:
    """Write the table of several scored folders."""
    summaries = [read_summary(folder) for folder in options.scored]
    protocol = read_protocol(summaries[0].protocol)
    for folder, summary in zip(options.scored, summaries, strict=True):
        if summary.protocol_digest != summaries[0].protocol_digest:
            raise UsageError(
                f"{folder}: expected the protocol {summaries[0].protocol} ({summaries[0].protocol_digest}), "
                f"got {summary.protocol} ({summary.protocol_digest})"
            )
    print(write_comparison(options.out, protocol, list(zip(options.scored, summaries, strict=True))))
    return 0


def run_selftest(_options: argparse.Namespace) -> int:
    """Check closed forms on a set made on the spot."""
    from evaluation.selftest import selftest

    failed = 0
    for name, good, sentence in selftest():
        failed += not good
        print(f"{'ok ' if good else 'BAD'} {name}: {sentence}")
    return 1 if failed else 0


def _protocol(options: argparse.Namespace) -> Protocol:
    """Read the protocol, reduced to `--objects`: other objects are another protocol, with another digest."""
    protocol = read_protocol(options.protocol)
    if not options.objects:
        return protocol
    asked = tuple(options.objects.split(","))
    unknown = set(asked) - set(protocol.data.objects or open_dataset(protocol.data.loader, options.data).uids())
    if unknown:
        raise UsageError(f"--objects: expected objects of the protocol, got {', '.join(sorted(unknown))}")
    return replace(protocol, data=replace(protocol.data, objects=tuple(sorted(asked))))


def _predict(options: argparse.Namespace, protocol: Protocol, out: Path, progress: Progress) -> None:
    if options.baseline:
        baselines = Baselines(
            options=options, protocol=protocol, data=options.data, work=out / "work", progress=progress
        )
        method, answer = baselines.method(options.baseline)
    else:
        method, answer = ModelAnswers(options).method(protocol.kind, out)
    write_answers(protocol, options.data, method, answer, out, progress)


def _oracle(options: argparse.Namespace, protocol: Protocol) -> tuple[Method, Answer]:
    answers: dict[str, Answer] = (
        {
            "truth": true_views,
            "noise": partial(noisy_views, levels=options.levels),
            "shift": partial(shifted_views, pixels=options.pixels),
        }
        if protocol.kind == "views"
        else {"truth": true_mesh, "hull": visual_hull}
    )
    if options.kind not in answers:
        raise UsageError(f"--kind: expected {', '.join(answers)} for {protocol.kind}, got {options.kind}")
    if not 1 <= options.levels <= 127 or options.pixels < 1:
        raise UsageError(
            f"oracle: expected 1 to 127 levels and at least a pixel, got {options.levels}, {options.pixels}"
        )
    amount = {"noise": f", ± {options.levels}/255", "shift": f", {options.pixels} px"}.get(options.kind, "")
    return Method(name=f"oracle {options.kind}{amount}", frame="world"), answers[options.kind]


def _feature_network(path: Path | None, protocol: Protocol) -> FeatureNetwork | None:
    if path is not None and protocol.kind == "meshes":
        raise UsageError("--features: expected a protocol of views, got meshes")
    return open_feature_network(path) if path else None


def _score(options: argparse.Namespace, protocol: Protocol, predictions: Path, progress: Progress) -> int:
    networks = Networks(options.lpips, options.clip)
    space = _feature_network(options.features, protocol)
    job = ScoringJob(protocol, options.data, predictions, networks, options.out / "rows")
    summary, text = score_folder(options.protocol, job, space, workers_of(options), progress)
    print(text)
    # Scripts must notice incomplete figures, although the tables are written.
    return 1 if summary.failed or summary.unusable else 0
