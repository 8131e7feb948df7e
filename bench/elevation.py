"""How well `--elevation-deg auto` finds the elevation of a camera.

python -m bench.elevation --model DIR --folder MODELS [--objects N] [--method agreement|noise …] [--json FILE]

Each object is rendered from twelve known elevations (once: the renders are kept), and the model estimates them from one
render at a time. Beside each method: the best constant guess, the median of the twelve, which looks at no picture.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from app.settings import Settings, load_settings
from base.errors import Failure
from base.progress import Progress, standard_progress
from base.seeds import stable_rng
from base.versions import machine, versions
from evaluation.table import markdown_table
from geometry.rig import place_cameras
from inference.find_elevation import find_elevation
from inference.models import checkpoint_of, load_model
from render.child import RenderChild
from render.job import RenderJob, view_name
from render.lights import draw_lights
from zero123.digest import model_digest

ELEVATIONS_DEG = tuple(float(value) for value in np.linspace(-20.0, 68.0, 12))
METHODS = ("agreement", "noise")
SEED = 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, metavar="DIR")
    parser.add_argument("--folder", type=Path, required=True, metavar="DIR", help="of .glb models")
    parser.add_argument("--objects", type=int, default=4, metavar="N", help="the first N (default: %(default)s)")
    parser.add_argument("--method", action="append", choices=METHODS, default=[])
    parser.add_argument("--renders", type=Path, default=Path("runs/elevation"), metavar="DIR")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    progress = standard_progress()
    pipeline = load_model(options.model, "cpu")
    height, width = pipeline.hw
    settings = load_settings(
        None,
        (),
        [f"render.hw=[{height},{width}]", *options.set],
        model_sampling=pipeline.defaults.model_dump(mode="json"),
    )
    files = sorted(options.folder.glob("*.glb"))[: options.objects]
    views = render_elevations(files, options.renders / f"{height}x{width}", settings, progress)
    methods = options.method or list(METHODS)
    rows = [
        row
        for method in methods
        for name, pictures in views.items()
        for row in estimates(pipeline, name, pictures, with_method(settings, method), progress)
    ]
    print(table(rows, methods))
    if options.json:
        facts = {"model": model_digest(checkpoint_of(options.model)), "settings_digest": settings.digest()}
        result = {"rows": rows, **facts, "machine": machine(), "versions": versions()}
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0


def with_method(settings: Settings, method: str) -> Settings:
    elevation = settings.views.elevation.model_copy(update={"method": method})
    return settings.model_copy(update={"views": settings.views.model_copy(update={"elevation": elevation})})


def render_elevations(files: list[Path], folder: Path, settings: Settings, progress: Progress) -> dict[str, list[Path]]:
    """The renders of each file, one an elevation, made unless they are there; azimuth and distance are drawn."""
    found = {file.stem: [folder / file.stem / view_name(view) for view in range(len(ELEVATIONS_DEG))] for file in files}
    missing = [file for file in files if not all(path.is_file() for path in found[file.stem])]
    if not missing:
        return found
    with RenderChild(settings.render) as child, progress.task("render", total=len(missing), unit="objects") as task:
        for file in missing:
            rng = stable_rng(SEED, "bench-elevation", file.stem)
            count = len(ELEVATIONS_DEG)
            polar, azimuth = np.deg2rad(90.0 - np.array(ELEVATIONS_DEG)), rng.uniform(0.0, 2.0 * np.pi, count)
            cameras = place_cameras(np.stack([polar, azimuth, rng.uniform(1.7, 2.0, count)], axis=1))
            out = folder / file.stem
            out.mkdir(parents=True, exist_ok=True)
            uid = "".join(letter if letter.isalnum() else "-" for letter in file.stem)[:64]
            job = RenderJob(
                uid=uid,
                file=str(file.resolve()),
                seed=SEED,
                settings=settings.render.model_dump(mode="json"),
                extrinsics=cameras.tolist(),
                lights=draw_lights(settings.render.chosen_lights, uid, SEED),
                out_dir=str(out),
                root=str(file.resolve().parent),
            )
            result = child.render(job)
            if result.outcome != "ok":
                raise Failure(f"{file}: expected renders, got {result.outcome}: {result.reason}")
            task.advance(1)
    return found


def estimates(
    pipeline: Any, name: str, pictures: list[Path], settings: Settings, progress: Progress
) -> list[dict[str, Any]]:
    """A row for each elevation of an object: the true one, the estimate and its spread."""
    rows = []
    method = settings.views.elevation.method
    with progress.task(f"{method}", total=len(pictures), unit="views") as task:
        for true, path in zip(ELEVATIONS_DEG, pictures, strict=True):
            with Image.open(path) as picture:
                rgba = np.asarray(picture.convert("RGBA"))
            found = find_elevation(pipeline, rgba, settings, SEED)
            row = {"method": method, "object": name, "true_deg": true, **found.facts()}
            rows.append(row)
            task.advance(1, note=f"{name} {true:.0f}°: {found.deg:.0f}° ± {found.spread_deg:.0f}°")
    return rows


def table(rows: list[dict[str, Any]], methods: list[str]) -> str:
    """Median and mean error, the share within 10°, and the median spread, of each method and of a constant guess."""
    lines = []
    for method in methods:
        own = [row for row in rows if row["method"] == method]
        errors = np.abs([row["deg"] - row["true_deg"] for row in own])
        lines.append([method, *_figures(errors), f"{np.median([row['spread_deg'] for row in own]):.1f}"])
    # A method must beat the answer that looks at no picture.
    constant = np.abs(np.array(ELEVATIONS_DEG) - np.median(ELEVATIONS_DEG))
    lines.append(["constant guess", *_figures(constant), "–"])
    return markdown_table(["method", "median error, °", "mean, °", "within 10°", "median spread, °"], lines)


def _figures(errors: np.ndarray) -> list[str]:
    return [f"{np.median(errors):.1f}", f"{errors.mean():.1f}", f"{(errors <= 10.0).mean():.0%}"]


if __name__ == "__main__":
    raise SystemExit(main())
