"""Measure the cost of a view: the shipped settings against the original's recipe, interleaved.

python -m bench.render [--objects N] [--more FOLDER] [--views N] [--legacy-views N] [--references DIR] [--json FILE]
python -m bench.render --ablate [--objects N] [--views N] [--references DIR] [--json FILE]

`ours` uses the same Blender for all objects. `legacy` is the preset of that name in a fresh Blender for each object, as
the original does it. Both render at 512 x 512 with the same threads. CPU-seconds are the system's for the processes,
with their start. Afterwards each side's first views are compared with many samples of its own scene, on white, within
the object's bounding box.
--ablate adds the measures step by step, from the original's sampling to ours, in our scene.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from app.settings import load_settings
from base.versions import machine, versions
from bench.references import likeness, pictures, references
from bench.rendering import CountedRenderer
from evaluation.table import markdown_table
from render.phases import PHASES
from render.settings import RenderSettings

EXAMPLES = Path(__file__).parents[1] / "examples" / "objects"
SIDES = ("ours", "legacy")
SEED = 0
MORE = 12

Row = dict[str, Any]

MEASURES = {
    "the original's sampling": [
        "samples=128", "adaptive_threshold=0.01", "denoise.quality=HIGH", "denoise.prefilter=ACCURATE",
        "light_tree=true", "object_rectangle=false",
    ],
    "13 samples for each pixel": ["samples=13", "adaptive_threshold=0.0"],
    "guides as they were sampled": ["denoise.prefilter=NONE"],
    "the fast denoiser": ["denoise.quality=FAST"],
    "only the object's rectangle": ["object_rectangle=true"],
    "no light tree for two lamps": ["light_tree=false"],
}  # fmt: skip
"""The settings of each measure, on top of the measures before it."""


def main() -> int:
    options = _options()
    files = sorted(EXAMPLES.glob("*.glb"))[: options.objects]
    files += sorted(options.more.glob("*.glb"))[:MORE] if options.more else []
    with tempfile.TemporaryDirectory() as scratch:
        options.references = options.references or Path(scratch) / "references"
        result = ablation(files, options) if options.ablate else comparison(files, options)
    if options.json:
        about = {"machine": machine(), "versions": versions(), "reference_samples": options.reference_samples}
        options.json.write_text(json.dumps({**result, **about}, indent=2) + "\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=8, metavar="N", help="of examples/objects")
    parser.add_argument("--more", type=Path, metavar="FOLDER", help=f"and the first {MORE} .glb of this folder")
    parser.add_argument("--views", type=int, default=12, metavar="N")
    parser.add_argument("--legacy-views", type=int, metavar="N", help="render fewer; start-up is spread over --views")
    parser.add_argument("--quality-views", type=int, default=2, metavar="N", help="of each object")
    parser.add_argument("--references", type=Path, metavar="DIR", help="keep the references here")
    parser.add_argument("--kept-only", action="store_true", help="make no new references, use stored references only")
    parser.add_argument("--reference-samples", type=int, default=1024, metavar="N")
    parser.add_argument("--ablate", action="store_true")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for both sides")
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser.parse_args()


def _settings(options: argparse.Namespace, presets: list[str], *changes: str, views: int) -> RenderSettings:
    fixed = ["render.hw=[512,512]", *(f"render.{change}" for change in changes), *options.set]
    return load_settings(None, presets, [*fixed, f"render.views={views}"]).render


def comparison(files: list[Path], options: argparse.Namespace) -> dict[str, Any]:
    """Compare both sides over all files, object by object. Prints a line for each and the summary."""
    ours = _settings(options, [], views=options.views)
    # Soft alpha, as the reference has it: hard edges would count against the original.
    legacy = _settings(options, ["legacy"], "alpha=soft", views=options.legacy_views or options.views)
    rows: list[Row] = []
    sides = {"ours": CountedRenderer(ours, fresh=False), "legacy": CountedRenderer(legacy, fresh=True)}
    with tempfile.TemporaryDirectory() as scratch:
        with sides["ours"], sides["legacy"]:
            for path in files:
                seconds = {
                    name: side.render(path, Path(scratch) / path.stem / name, SEED) for name, side in sides.items()
                }
                rows.append({"object": path.stem, **{name: {"seconds": told} for name, told in seconds.items()}})
                print(_line(rows[-1]), flush=True)
        for path, row in zip(files, rows, strict=True):
            for name, side in sides.items():
                # After all renders, so that references do not disturb the seconds.
                row[name] |= quality(path, side.settings, Path(scratch) / path.stem / name, options)
            print(_line(row), flush=True)
    return _show(rows, sides, options.views)


def _show(rows: list[Row], sides: dict[str, CountedRenderer], views: int) -> Row:
    """Return the result for the JSON file, and print its summary."""
    cost = {name: side.per_view(views) for name, side in sides.items()}
    likenesses = {name: _medians([row[name] for row in rows]) for name in SIDES}
    phases = {name: side.per_object() for name, side in sides.items()}
    result = {
        "ratio": cost["legacy"]["cpu_s"] / cost["ours"]["cpu_s"],
        "psnr_db": likenesses["ours"]["psnr_db"],
        "views": views,
        "legacy_views_rendered": sides["legacy"].settings.views,
        "objects": len(rows),
        "per_view": cost,
        "median": likenesses,
        "wall_s_per_object": phases,
        "rows": rows,
        "settings": {name: side.settings.model_dump(mode="json") for name, side in sides.items()},
    }
    print()
    header = ["", "CPU-s per view", "wall s per view", "PSNR dB", "SSIM", *PHASES]
    table = [
        [name, *_numbers([*cost[name].values(), *likenesses[name].values(), *phases[name].values()])] for name in SIDES
    ]
    print(markdown_table(header, table))
    print(
        f"\n{result['ratio']:.2f} times fewer CPU-seconds per view than legacy, start-up included, spread over {views} "
        f"views; phases are wall seconds per object ({sides['ours'].settings.views} views of ours, "
        f"{sides['legacy'].settings.views} of legacy's); PSNR and SSIM are medians over objects"
    )
    return result


def quality(path: Path, settings: RenderSettings, folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """Return mean PSNR and SSIM of a side's first views against the references; empty without references."""
    scene = settings.model_copy(update={"views": options.quality_views})
    true = references(path, scene, SEED, options.reference_samples, options.references, make=not options.kept_only)
    if not true:
        return {}
    found = [likeness(seen, truth) for seen, truth in zip(pictures(folder, len(true)), true, strict=True)]
    psnr_db, ssim = np.mean(found, axis=0)
    return {"psnr_db": float(psnr_db), "ssim": float(ssim)}


def ablation(files: list[Path], options: argparse.Namespace) -> Row:
    """Measure cost and quality over all files after each measure, on top of the measures before it."""
    rows: list[Row] = []
    changes: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        for name, more in MEASURES.items():
            changes += more
            settings = _settings(options, [], *changes, views=options.views)
            with CountedRenderer(settings, fresh=False) as side:
                for path in files:
                    side.render(path, Path(scratch) / name / path.stem, SEED)
            seen = [quality(path, settings, Path(scratch) / name / path.stem, options) for path in files]
            rows.append({"measure": name, "set": more, **side.per_view(options.views), **_medians(seen)})
            print(f"{name}: {rows[-1]['cpu_s']:.2f} CPU-s per view", flush=True)
    header = ["measure", "CPU-s per view", "wall s per view", "PSNR dB", "SSIM"]
    keys = ("cpu_s", "wall_s", "psnr_db", "ssim")
    print(f"\n{markdown_table(header, [[row['measure'], *_numbers([row[key] for key in keys])] for row in rows])}")
    return {"rows": rows, "objects": [path.stem for path in files], "views": options.views}


def _medians(rows: list[Row]) -> Row:
    """Return medians over the compared objects; None without any."""
    found = {key: [row[key] for row in rows if key in row] for key in ("psnr_db", "ssim")}
    return {key: float(np.median(values)) if values else None for key, values in found.items()}


def _numbers(values: list[float | None]) -> list[str]:
    return ["" if value is None else f"{value:.3f}" for value in values]


def _line(row: Row) -> str:
    told = [f"{name} {row[name]['psnr_db']:.2f} dB" for name in SIDES if "psnr_db" in row[name]]
    told = told or [f"{name} {sum(row[name]['seconds'].values()):.1f} s" for name in SIDES]
    return f"{row['object'][:24]:<24} {', '.join(told)}"


if __name__ == "__main__":
    raise SystemExit(main())
