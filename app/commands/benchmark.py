"""`zero123 benchmark`: evaluate any method's views or meshes under a published or a sound protocol."""

import argparse
from collections.abc import Callable
from pathlib import Path

from app.answering import add_model_flags, add_network_flags
from app.baselines import BASELINES, add_baseline_flags
from app.commands.options import add_settings_flags

Run = Callable[[argparse.Namespace], int]

VERBS = {
    "list": "the shipped protocols",
    "show": "a protocol: what it measures, its published rows, and what it leaves open",
    "check": "check a data set: project the truth meshes on the alpha, compare pixels with known digests",
    "predict": "answer a protocol with our model or a baseline, or export inputs for another program",
    "mesh": "meshes of Point-E's clouds in a prediction folder, by its own network",
    "score": "measure a prediction folder; finished objects are kept",
    "run": "predict, then score",
    "compare": "several scored folders in a single table with paired differences to the first",
    "oracle": "the truth, or the truth with a known error, through the whole measurement",
    "selftest": "closed forms and oracles on a small set made on the spot",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "Measure novel views or meshes of any program. A prediction folder has method.yaml, views/UID/NNN.png or "
        "meshes/UID.glb, and failed.csv; `predict --export-only` explains it. Exit code 1 when an object failed."
    )
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    made = {
        name: verbs.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        for name, summary in VERBS.items()
    }
    for name, verb in made.items():
        if name in ("show", "check", "predict", "score", "run", "oracle"):
            verb.add_argument("protocol", metavar="PROTOCOL", help="a name of `zero123 benchmark list`, or a YAML file")
        if name in ("check", "predict", "score", "run", "oracle"):
            verb.add_argument("--data", type=Path, required=True, metavar="DIR", help="the folder of the data set")
            verb.add_argument("--objects", metavar="UID,UID,…", help="only these objects; the table says so")
        # By name: importing the verbs here would load every metric for `--help`.
        verb.set_defaults(run=run, verb=name)
    _add_answers(made["predict"], export=True)
    _add_answers(made["run"], export=False)
    made["score"].add_argument("--predictions", type=Path, required=True, metavar="DIR", help="a prediction folder")
    _add_meshing(made["mesh"])
    for name in ("score", "run", "oracle"):
        _add_scoring(made[name])
    for name in ("score", "oracle"):  # `run` has them with its model
        add_settings_flags(made[name], dry_run="print the resolved settings, and do nothing")
    made["oracle"].add_argument("--kind", choices=("truth", "noise", "shift", "hull"), required=True, help="the error")
    made["oracle"].add_argument(
        "--levels", type=int, default=5, metavar="N", help="noise in 1/255 (default: %(default)s)"
    )
    made["oracle"].add_argument(
        "--pixels", type=int, default=1, metavar="N", help="shift in pixels (default: %(default)s)"
    )
    made["compare"].add_argument(
        "scored", nargs="+", type=Path, metavar="OUT", help="folders of `score`, the reference first"
    )
    made["compare"].add_argument("--out", type=Path, required=True, metavar="DIR", help="tables and page")


def _add_answers(parser: argparse.ArgumentParser, *, export: bool) -> None:
    add_model_flags(parser, dry_run="print the resolved settings, and do nothing")
    parser.add_argument(
        "--baseline",
        choices=BASELINES,
        help="instead of a model: the input copied, white, the mean of all true views (an oracle), the nearest "
        "training view of the dataset in evaluate.training_root, Image Variations; for meshes the input's silhouette "
        "extruded, or the hull of all true silhouettes (an oracle); for both SJC-I and DietNeRF",
    )
    add_baseline_flags(parser)
    if export:
        # `run` has the same flag for its scores.
        parser.add_argument("--clip", type=Path, metavar="DIR", help="a CLIP image encoder, for --baseline dietnerf")
        parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the prediction folder to write")
        parser.add_argument("--export-only", action="store_true", help="write inputs, cameras and a README instead")


def _add_meshing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--predictions", type=Path, required=True, metavar="DIR", help="a folder with clouds/UID.npz")
    parser.add_argument(
        "--point-e", type=Path, required=True, metavar="FILE", help="sdf.pt of Point-E, or its tensors as safetensors"
    )
    parser.add_argument(
        "--grid-size",
        type=int,
        default=128,
        metavar="N",
        help="samples along each edge (default: the paper's %(default)s)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: %(default)s)")


def _add_scoring(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="rows, tables and page; the same again goes on"
    )
    add_network_flags(parser)


def run(options: argparse.Namespace) -> int:
    """Run a verb."""
    from app import benchmarking

    verb: Run = getattr(benchmarking, f"run_{options.verb}")
    return verb(options)
