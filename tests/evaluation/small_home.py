"""Three objects, the input copied as their answers, and a protocol of a single quick metric."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import yaml

from base.progress import SILENT
from evaluation.datasets.sd30 import Sd30
from evaluation.methods import VIEW_METHODS
from evaluation.picture_metrics import Networks
from evaluation.predicting import PredictionRun, predict_views
from evaluation.predictions import Method
from evaluation.protocol import PROTOCOLS, Protocol, read_protocol
from evaluation.results import ObjectResult
from evaluation.scoring import ScoringJob
from tests.evaluation.fatal_folders import VICTIM
from tests.evaluation.small_sd30 import write_small_sd30

UIDS = ("brick", "brick2", VICTIM)


def write_home(folder: Path) -> Path:
    """Write the data, the predictions and the protocol into a folder."""
    write_small_sd30(folder / "data")
    shutil.copytree(folder / "data" / "brick", folder / "data" / "brick2")
    values = yaml.safe_load((PROTOCOLS / "sd30-views.yaml").read_text())
    values |= {"targets": [3, 7], "published": []}
    values["views"] = {"sound": values["views"]["sound"] | {"targets": [3, 7], "metrics": ["psnr", "mask-iou"]}}
    (folder / "views.yaml").write_text(yaml.safe_dump(values))
    run = PredictionRun(protocol(folder), Sd30(folder / "data"), UIDS, Method(name="input"), folder / "p", SILENT)
    predict_views(run, VIEW_METHODS["input"])
    return folder


def protocol(home: Path) -> Protocol:
    return read_protocol(str(home / "views.yaml"))


def job(home: Path, rows: Path) -> ScoringJob:
    return ScoringJob(protocol(home), home / "data", home / "p", Networks(), rows)


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file of a scored folder except its tables, whose files have random names."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    named = {path.relative_to(folder).as_posix(): path for path in paths}
    return {name: path.read_bytes() for name, path in named.items() if not name.startswith("catalog/")}


def by_uid(results: Sequence[ObjectResult]) -> dict[str, ObjectResult]:
    return {result.uid: result for result in results}
