"""A dataset, an evaluation and a training run with hostile contents, and a client of a server that browses them."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from app.settings import Settings
from base.storage import Storage
from pipeline.catalog.rows import Attempt, ObjectRow
from pipeline.catalog.tables import Catalog, VersionFacts
from shards.sample import members_from_views
from shards.write import write_shard
from tests.pipeline.builds import changes
from tests.shards.datasets import HW, VIEWS, make_views
from tests.web.conftest import ADDRESS, Painter, _loader, _sample_for
from web.app import make_app
from web.browse.shelf import make_shelf
from web.guard import LOOPBACK, Access
from web.service import ModelSource, Service

HOSTILE = "<img src=x onerror=alert(1)>\x1b[31m\u202e"
UIDS = tuple(f"object_{number:08d}" for number in range(7))


def write_dataset(root: Path) -> None:
    """Three objects with views, others that ended otherwise; titles and reasons by a stranger."""
    storage, samples = Storage(root), []
    for uid in UIDS[:3]:
        views = make_views(root.parent / "views" / uid, uid)
        samples.append((uid, members_from_views(views, {"uid": uid, "licence": "CC0-1.0"})))
    shard = write_shard(storage, "train", 0, samples)
    rows = []
    for uid, entry in zip(UIDS[:3], shard.samples, strict=True):
        placed = {
            "split": "train", "shard": 0, "shard_name": shard.name, "shard_sha256": shard.sha256,
            "shard_bytes": shard.bytes, "sample_offset": entry.offset, "sample_bytes": entry.bytes,
        }  # fmt: skip
        facts = {"title": f"{HOSTILE} {uid[-1]}", "licence": "CC0-1.0", "page": "javascript:alert(1)"}
        rows.append(
            ObjectRow(uid=uid, source="folder", location=str(root / f"{uid}.glb"), outcome="ok", **facts, **placed)
        )
    for uid in UIDS[3:]:
        reason, licence = f"{root}/models of mine/{uid}.glb: no header", "It's mine"
        where = str(root / "models of mine" / f"{uid}.glb")
        rows.append(
            ObjectRow(uid=uid, source="folder", location=where, outcome="corrupt", reason=reason, licence=licence)
        )
    catalog = Catalog(storage)
    catalog.record(
        [
            Attempt(attempt=uid, run="r", uid=uid, outcome="ok", seconds={"sample": 4.0, "encode": 0.5}, views=VIEWS,
                    device="kind CPU, name AMD", host="secret-host", stderr_tail=f"in {root}", at=1.7e9)
            for uid in UIDS[:3]
        ]
    )  # fmt: skip
    catalog.commit(changes(*rows), VersionFacts("0" * 16, VIEWS, HW))
    catalog.publish()


def write_evaluation(folder: Path) -> None:
    """What `zero123 evaluate` leaves, of 120 pairs, two of them with pictures."""
    (folder / "pairs").mkdir(parents=True)
    means = {"model": 20.0, "input": 15.0, "white": 10.0, "mean_view": 16.0}
    row = {"source": 0, "target": 10, "angle_deg": 40.0, "psnr": means, "ssim": means, "haarpsi_distance": means}
    values = {
        "dataset_version": 1, "pairs": 120, "psnr_db": means, "ssim": means, "haarpsi_distance": means,
        "feature_distance": {}, "training_objects": 0, "training_version": 0, "network": None, "margin_db": 5.0,
        "near": {"degrees": 30.0, "pairs": 0, "psnr_db": {}}, "minimum_margin_db": 0.5, "passed": True,
        "rows": [{"uid": f"{HOSTILE}-{number}", **row} for number in range(120)],
    }  # fmt: skip
    (folder / "novel_views.json").write_text(json.dumps(values))
    for uid in UIDS[:2]:
        for part in ("input", "novel", "true"):
            Image.fromarray(np.full((8, 8, 3), 90, np.uint8)).save(folder / "pairs" / f"{uid}-00-10-{part}.png")


def write_run(folder: Path) -> None:
    """What `zero123 train` leaves, with a line that is no log and one that was cut off."""
    (folder / "checkpoints" / "0000000100").mkdir(parents=True)
    (folder / "checkpoints" / "0000000100" / "model_index.json").write_text("{}")
    (folder / "checkpoints" / "0000000200").mkdir()  # not finished
    rows = [
        {
            "images": number,
            "loss": None if number == 5 else 1.0 / number,
            "images_per_s": 3.0,
            "gradient_norm": 1.0,
            "skipped": 2,
        }
        for number in range(1, 1001)
    ]
    lines = [*map(json.dumps, rows), "[]", '{"images": "many"}', '{"images": 1001, "loss": NaN}']
    (folder / "log.jsonl").write_text("\n".join(lines) + '\n{"images": 2000, "lo')
    (folder / "validation.jsonl").write_text('{"images": 100, "views": 8, "psnr_db": 17.5, "ssim": 0.8}\n')
    (folder / "validation").mkdir()
    Image.fromarray(np.zeros((8, 24, 3), np.uint8)).save(folder / "validation" / "0000000100.webp")


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset, an evaluation and a run."""
    folder = tmp_path_factory.mktemp("written") / "runs"
    write_dataset(folder / "data")
    write_evaluation(folder / "scores")
    write_run(folder / "model")
    return folder


@pytest.fixture
def browsed(tmp_path: Path, written: Path) -> Path:
    """A copy of it, to damage."""
    return Path(shutil.copytree(written, tmp_path / "runs"))


@pytest.fixture
def browser_client(browsed: Path, settings: Settings, painter: Painter, tmp_path: Path) -> Iterator[TestClient]:
    """A client of a server with all of it on its shelf."""
    source = ModelSource(["painter"], _loader(painter), _sample_for(settings))
    service = Service(settings, source, tmp_path / "served", make_shelf([str(browsed)]))
    with TestClient(make_app(service, Access((*LOOPBACK, "testserver"), None)), base_url=ADDRESS) as client:
        yield client
