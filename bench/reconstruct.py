"""Measure the effect of the score, or the ceiling of reconstruction.

python -m bench.reconstruct --checkpoint DIR [--data DIR] [--count N] [--view N] [--preset NAME …] [--json FILE]
python -m bench.reconstruct --oracle --objects FOLDER [--perturbed | --ablation] [--views N] [--unlit]
       [--pictures DIR] [--set KEY=VALUE …] [--json FILE]

The second fits true views. With --perturbed the views are of an oracle that errs as a model does (`bench.perturbed`),
and the seconds on an H200 are projected. With --ablation the method is built up step by step (`bench.ablation`).

The first compares meshes from a single view, with and without the score, with held-out views.

Both sides see the same input view and take the same steps. "without" sets reconstruct.weights.score to 0, leaving the
input view and the priors of the other losses. Silhouettes (IoU) and colours (PSNR on white) are of the mesh. `new` are
the held-out views of each object, `others` are all views but the input.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from app.settings import Settings, load_settings
from base.progress import standard_progress
from base.storage import Storage
from base.versions import machine, versions
from bench.ablation import ablation_table, measure_ablation
from bench.oracle import measure_folder, oracle_line, oracle_sentence, oracle_table, summarise
from bench.perturbed import measure_perturbed, perturbed_sentence, perturbed_table, summarise_perturbed
from bench.shape_pictures import write_sheet
from evaluation.novel_views import read_objects
from evaluation.shape import ViewOfMesh, mesh_against_views
from evaluation.table import markdown_table
from geometry.camera import Lens
from reconstruct.mesh import extract
from reconstruct.optimise import reconstruct
from shards.sample import Sample
from shards.version import read_version
from zero123.pipeline import Zero123Pipeline

VIEW_HW = (128, 128)
"""The size of true views."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, metavar="DIR")
    parser.add_argument("--oracle", action="store_true", help="fit true views, drawn by our rasteriser")
    parser.add_argument("--perturbed", action="store_true", help="with --oracle: it errs as a model does")
    parser.add_argument("--ablation", action="store_true", help="with --oracle: what each step buys")
    parser.add_argument("--objects", type=Path, metavar="FOLDER", help="with --oracle: a folder of GLB files")
    parser.add_argument("--views", type=int, default=48, metavar="N", help="with --oracle (default: %(default)s)")
    parser.add_argument("--unlit", action="store_true", help="with --oracle: plain colours, without light")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="with --oracle: draw object, hull and surface")
    parser.add_argument("--data", metavar="DIR", help="the dataset's root (default: storage.root of the settings)")
    parser.add_argument("--count", type=int, default=8, metavar="N", help="objects of the dataset")
    parser.add_argument("--view", type=int, default=0, metavar="N", help="the number of the input view")
    parser.add_argument("--preset", action="append", default=[], metavar="NAME")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    overrides = [*options.set, f"evaluate.max_objects={options.count}"]
    overrides += [f"storage.root={options.data}"] if options.data else []
    settings = load_settings(None, options.preset or ["tiny", "demo"], overrides)
    if options.oracle:
        if options.objects is None or not any(options.objects.glob("*.glb")):
            parser.error(f"expected --objects FOLDER with GLB files, got {options.objects}")
        if (options.perturbed or options.ablation) and options.pictures is not None:
            parser.error("expected --pictures without --perturbed and --ablation")
        if options.perturbed and options.ablation:
            parser.error("expected --perturbed or --ablation, got both")
        if options.ablation:
            return run_ablation(options, settings)
        return run_perturbed(options, settings) if options.perturbed else run_oracle(options, settings)
    if options.checkpoint is None:
        parser.error("expected --checkpoint DIR, or --oracle")
    pipeline = Zero123Pipeline.from_pretrained(options.checkpoint)
    storage = Storage(settings.storage.root)
    rows = []
    for sample in read_objects(read_version(storage), storage, settings.evaluate):
        # One after the other, so that both sides meet the machine in the same state.
        for weight in (settings.reconstruct.weights.score, 0.0):
            rows.append(measure(pipeline, sample, options.view, settings, weight))
            print(line(rows[-1]), flush=True)
    print(f"\n{summary(rows)}")
    if options.json:
        result = {"rows": rows, "machine": machine(), "versions": versions(), "settings_digest": settings.digest()}
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0


def run_oracle(options: argparse.Namespace, settings: Settings) -> int:
    """Measure each object of a folder, and print the table."""
    rows = []
    pictures: Path | None = options.pictures
    measured = measure_folder(
        options.objects, settings.reconstruct, options.views, VIEW_HW, lit=not options.unlit, pictures=pictures
    )
    for row in measured:
        rows.append(row)
        print(oracle_line(row), flush=True)
    if pictures is not None:
        write_sheet([pictures / f"{row['object']}.png" for row in rows], pictures / "all.webp")
    summary = summarise(rows)
    print(f"\n{oracle_table(rows, summary)}\n\n{oracle_sentence(summary)}")
    _write_figures({**summary, "rows": rows}, options, settings)
    return 0


def run_perturbed(options: argparse.Namespace, settings: Settings) -> int:
    """Reconstruct each object of a folder from perturbed views, and print the table and the projection."""
    rows = []
    for path in sorted(options.objects.glob("*.glb")):
        rows.append(measure_perturbed(path, settings.reconstruct, options.views, VIEW_HW, lit=not options.unlit))
        print(f"{path.stem}: CD {rows[-1]['chamfer']:.4f}, {rows[-1]['calls']} calls", flush=True)
    summary = summarise_perturbed(rows)
    print(f"\n{perturbed_table(rows)}\n\n{perturbed_sentence(summary)}")
    _write_figures({**summary, "rows": rows}, options, settings)
    return 0


def run_ablation(options: argparse.Namespace, settings: Settings) -> int:
    """Build the method up step by step on each object of a folder, and print the table."""
    rows = []
    for path in sorted(options.objects.glob("*.glb")):
        for row in measure_ablation(path, settings.reconstruct, options.views, VIEW_HW):
            rows.append(row)
            print(f"{row['object']}, {row['step']}: CD {row['chamfer']:.4f}, IoU {row['iou']:.3f}", flush=True)
    print(f"\n{ablation_table(rows)}")
    _write_figures({"rows": rows}, options, settings)
    return 0


def _write_figures(figures: dict[str, Any], options: argparse.Namespace, settings: Settings) -> None:
    """Write the figures of an oracle with what they depend on, if a file is asked for."""
    if not options.json:
        return
    about = {"views": options.views, "lit": not options.unlit, "hw": VIEW_HW, "settings_digest": settings.digest()}
    result = {**figures, **about, "machine": machine(), "versions": versions()}
    options.json.write_text(json.dumps(result, indent=2) + "\n")


def measure(pipeline: Zero123Pipeline, sample: Sample, view: int, settings: Settings, weight: float) -> dict[str, Any]:
    """Reconstruct an object and compare its mesh with the true views."""
    section = settings.reconstruct
    section = section.model_copy(update={"weights": section.weights.model_copy(update={"score": weight})})
    cpu_s, wall_s = time.process_time(), time.monotonic()
    field = reconstruct(
        pipeline, sample.image(view), sample.extrinsics[view], section, seed=0, progress=standard_progress()
    )
    mesh = extract(field, section.mesh).mesh
    cpu_s, wall_s = time.process_time() - cpu_s, time.monotonic() - wall_s
    count = len(sample.extrinsics)
    images = [sample.image(k) for k in range(count)]
    seen = mesh_against_views(mesh, images, sample.extrinsics, Lens(**section.lens.model_dump()), range(count))
    return {
        "uid": sample.uid,
        "score": weight > 0,
        "input": _means([seen[view]]),
        "new": _means([v for v in seen[-settings.evaluate.held_out_views :] if v.view != view]),
        "others": _means([v for v in seen if v.view != view]),
        "vertices": len(mesh.vertices),
        "cpu_s": cpu_s,
        "wall_s": wall_s,
    }


def _means(views: list[ViewOfMesh]) -> dict[str, float]:
    return {"iou": float(np.mean([v.iou for v in views])), "psnr_db": float(np.mean([v.psnr for v in views]))}


def line(row: dict[str, Any]) -> str:
    return (
        f"{row['uid'][:24]:<24} score {'on ' if row['score'] else 'off'}: input IoU {row['input']['iou']:.3f}, "
        f"all others IoU {row['others']['iou']:.3f} {row['others']['psnr_db']:.2f} dB, {row['cpu_s']:.0f} CPU-s"
    )


def summary(rows: list[dict[str, Any]]) -> str:
    """Format a line per object, with and without the score, and the means."""
    pairs = list(zip(rows[::2], rows[1::2], strict=True))
    header = ["object", "input IoU", "others IoU", "without", "others dB", "without", "new IoU", "without", "CPU-s"]
    table = [[on["uid"], *_cells(on, off)] for on, off in pairs]
    values = np.array([[float(cell) for cell in cells[1:]] for cells in table])
    table.append(["mean", *(f"{value:.3f}" for value in values.mean(0))])
    return markdown_table(header, table)


def _cells(on: dict[str, Any], off: dict[str, Any]) -> list[str]:
    iou, db = [f"{row['others']['iou']:.3f}" for row in (on, off)], [f"{r['others']['psnr_db']:.2f}" for r in (on, off)]
    new = [f"{row['new']['iou']:.3f}" for row in (on, off)]
    return [f"{on['input']['iou']:.3f}", *iou, *db, *new, f"{on['cpu_s']:.0f}"]


if __name__ == "__main__":
    raise SystemExit(main())
