"""Measure meshes from a single view, or the ceiling of reconstruction.

python -m bench.reconstruct --checkpoint MODEL [--method NAME …] [--data DIR] [--count N] [--view N] [--preset NAME …]
       [--set KEY=VALUE …] [--json FILE]
python -m bench.reconstruct --oracle --objects FOLDER [--perturbed | --ablation] [--views N] [--unlit]
       [--pictures DIR] [--set KEY=VALUE …] [--json FILE]

The first makes a mesh from one view of each object of a dataset and compares it with all other views: silhouettes (IoU)
and colours (PSNR on white). MODEL is `mini`, a public name or a folder. The methods are views, score, unscored (score
with reconstruct.weights.score 0) and hull (of the single view); views and hull, if none is named.

The second fits true views. With --perturbed the views are of an oracle that errs as a model does (`bench.perturbed`),
and the seconds on an H200 are projected. With --ablation the method is built up step by step (`bench.ablation`).
"""

import argparse
import json
from pathlib import Path
from typing import Any

from app.settings import Settings, load_settings
from base.storage import Storage
from base.versions import machine, versions
from bench.ablation import ablation_table, measure_ablation
from bench.oracle import measure_folder, oracle_line, oracle_sentence, oracle_table, summarise
from bench.perturbed import measure_perturbed, perturbed_sentence, perturbed_table, summarise_perturbed
from bench.shape_pictures import write_sheet
from bench.single_view import METHODS, line, measure, table
from evaluation.novel_views import read_objects
from inference.sample_photo import LoadedModel
from shards.version import read_version
from zero123.pipeline import Zero123Pipeline

VIEW_HW = (128, 128)
"""The size of true views."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", metavar="MODEL")
    parser.add_argument("--method", action="append", default=[], choices=METHODS, help="default: views and hull")
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
    presets = options.preset or (["tiny", "demo"] if options.oracle else [])
    settings = load_settings(None, presets, overrides)
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
        parser.error("expected --checkpoint MODEL, or --oracle")
    return run_single_view(options, settings)


def run_single_view(options: argparse.Namespace, settings: Settings) -> int:
    """Make meshes of single views by each method, and print the table."""
    pipeline = Zero123Pipeline.from_pretrained(options.checkpoint)
    model = LoadedModel(pipeline=pipeline, digest="", source=options.checkpoint)
    # Presets concern the reconstruction here: views are sampled as the model's own defaults say.
    own = pipeline.defaults.model_dump(mode="json")
    settings = settings.model_copy(update={"sample": load_settings(None, (), options.set, model_sampling=own).sample})
    storage, rows = Storage(settings.storage.root), []
    for sample in read_objects(read_version(storage), storage, settings.evaluate):
        # One after the other, so that all methods meet the machine in the same state.
        for method in options.method or ("views", "hull"):
            rows.append(measure(model, sample, options.view, settings, method))
            print(line(rows[-1]), flush=True)
    print(f"\n{table(rows)}")
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


if __name__ == "__main__":
    raise SystemExit(main())
