"""Measure how `zero123 sample --on ray` scales: the real list, plan, crew, catalogue and versions, without a model.

python -m bench.pictures [--pictures N] [--workers N] [--folder DIR] [--json FILE] [--page]

The pictures are files of a few bytes, each its own. Sampling is a stub (bench/stub.py); shards are real and tiny. The
driver is a process of its own, so peak memory is the driver's. After the first run: again without changes.
"""

import argparse
import io
import json
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from app.many_pictures import picture_order
from app.settings import Settings, load_settings
from base.progress import PlainProgress
from base.versions import machine, versions
from bench.sections import write_section
from bench.stub import HW, VIEWS, StubWorker
from evaluation.table import markdown_table
from inference.cameras import AskedCameras
from inference.models import ModelChoice
from inference.picture_request import ModelFacts, PictureSections, ViewsRequest
from inference.picture_stages import SampleStage
from photo.batch import pictures_of_batch
from pipeline.update import bring_up_to_date

PAGE = Path(__file__).parents[1] / "docs" / "scale.md"
Figures = dict[str, Any]


def main() -> int:
    options = _options()
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        folder = Path(scratch)
        write_pictures(folder / "pictures", options.pictures)
        settings = load_settings(None, [], [f"run.workers={options.workers}", "run.cpus_per_worker=0.5"])
        rows = []
        for name in ("first run", "no change"):
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
                rows.append({"run": name, **process.submit(measure, folder, settings).result()})
                print(json.dumps(rows[-1]), flush=True)
    print(f"\n{_table(rows)}")
    if options.page:
        write_section(PAGE, "Many pictures", [_table(rows), NOTES])
    if options.json:
        about = {"machine": machine(), "versions": versions(), "settings_digest": settings.digest()}
        options.json.write_text(json.dumps({"pictures": options.pictures, "rows": rows, **about}, indent=2) + "\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=10_000, metavar="N")
    parser.add_argument("--workers", type=int, default=2, metavar="N")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="for the files (default: temporary)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--page", action="store_true", help="write a section of docs/scale.md")
    return parser.parse_args()


def write_pictures(folder: Path, count: int) -> None:
    """Write files that no stub opens: their names and bytes are all that the driver sees of a picture."""
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:07d}.png").write_bytes(f"picture {number}".encode())


def measure(folder: Path, settings: Settings) -> Figures:
    """Measure a run. Runs in a process that does nothing else."""
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
    pictures, progress = pictures_of_batch([str(folder / "pictures")]) or [], PlainProgress(io.StringIO())
    order = picture_order(str(folder / "dataset"), pictures, _stage(settings), settings, progress)
    summary = bring_up_to_date(order, progress, make=StubWorker)
    wall_s, used = time.monotonic() - started, resource.getrusage(resource.RUSAGE_SELF)
    return {
        "pictures": len(pictures),
        "sampled": summary.rendered,
        "wall_s": wall_s,
        "per_s": len(pictures) / wall_s,
        "driver_cpu_s": used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime,
        "driver_mib": used.ru_maxrss / 1024,
    }


def _stage(settings: Settings) -> SampleStage:
    sampling = settings.sample.sampling().model_dump(mode="json")
    facts = ModelFacts(digest="0" * 16, hw=HW, pose_slot4="radius_difference", sampling=sampling, device="kind CPU")
    cameras = AskedCameras(moves=(), orbit=VIEWS, rig=None, seed=0)
    request = ViewsRequest(cameras=cameras, samples=1, alpha=False, assume_cut_out=False, elevation_deg=None)
    sections = PictureSections(**{name: getattr(settings, name) for name in PictureSections.model_fields})
    return SampleStage(ModelChoice(), facts, "cpu", sections, request)


def _table(rows: list[Figures]) -> str:
    head = [
        "run",
        "pictures",
        "sampled",
        "wall, s",
        "pictures a second",
        "driver's CPU, s",
        "driver's peak memory, MiB",
    ]
    cells = [
        [
            *(
                row["run"],
                f"{row['pictures']:,}",
                f"{row['sampled']:,}",
                f"{row['wall_s']:.0f}",
                f"{row['per_s']:,.0f}",
            ),
            *(f"{row['driver_cpu_s']:.0f}", f"{row['driver_mib']:,.0f}"),
        ]
        for row in rows
    ]
    return markdown_table(head, cells)


NOTES = (
    "`python -m bench.pictures --pictures 100000 --page`, with a stub for the model. Of the stub, 5 % of pictures fail."
)


if __name__ == "__main__":
    raise SystemExit(main())
