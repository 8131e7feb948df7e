"""Fit how far the weightless cut-out trusts its masks, on composites of renders with known outlines.

python -m bench.doubt --objects DIR [--renders DIR] [--views N] [--json FILE]

The objects must be others than those of bench.cutout. A logistic regression predicts an IoU below .9 from the signs of
photo/doubt.py, for smooth backgrounds and for textures. `told` and `refused` are counted on objects left out of the
fit. The bias is chosen for --told of the bad masks left out. The last lines are for `photo.border` in pipeline.yaml.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.settings import load_settings
from base.progress import Progress, standard_progress
from base.seeds import stable_rng
from base.versions import machine, versions
from bench.composites import KINDS, composite
from bench.cutout import BAD, MIDDLE, SEED
from bench.cutout_renders import render_views
from evaluation.metrics import silhouette_iou
from evaluation.table import markdown_table
from photo.border import cut_smooth, cut_textured, look_at
from photo.settings import BorderSettings

Floats = NDArray[np.float64]
RIDGE, STEPS = 0.3, 50
"""The penalty on weights of standardised signs, and Newton's steps."""


@dataclass(frozen=True)
class Row:
    """A mask: its object, the kind of its background, its signs and its IoU with the truth."""

    uid: str
    textured: bool
    signs: dict[str, float]
    iou: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=Path, required=True, metavar="DIR", help="models (.glb)")
    parser.add_argument("--renders", type=Path, default=Path("runs/cutout/fit"), metavar="DIR")
    parser.add_argument("--views", type=int, default=1, metavar="N", help="of each object (default: %(default)s)")
    parser.add_argument("--told", type=float, default=0.98, help="part of the bad masks to tell (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    settings, progress = load_settings(None, ["tiny"]).photo.border, standard_progress()
    rows = measured(options, settings, progress)
    result: dict[str, Any] = {"machine": machine(), "versions": versions(), "masks": len(rows)}
    table = []
    for name, textured in (("smooth", False), ("textured", True)):
        some = [row for row in rows if row.textured == textured]
        weights, counts = fitted(some, options.told)
        result[name] = {"weights": weights, **counts}
        table.append([name, *map(str, counts.values())])
    print(markdown_table(["background", "masks", "bad", "told of bad", "refused of good"], table))
    for name in ("smooth", "textured"):
        print(f"{name}: " + json.dumps({key: round(value, 2) for key, value in result[name]["weights"].items()}))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0


def measured(options: argparse.Namespace, settings: BorderSettings, progress: Progress) -> list[Row]:
    """Return a row for each object, view and background."""
    renders = render_views(options.objects, options.renders, options.views, progress)
    rows = []
    with progress.task("masks", total=len(renders) * options.views * len(KINDS), unit="photos") as task:
        for uid, views in renders.items():
            for view, rgba in enumerate(views):
                for kind in KINDS:
                    photo = composite(rgba, kind, stable_rng(SEED, "photo", uid, view, kind))
                    look = look_at(photo, settings.side_px)
                    textured = look.ground.roughness > settings.roughness
                    alpha, signs = cut_textured(look) if textured else cut_smooth(look)
                    rows.append(Row(uid, textured, signs, silhouette_iou(alpha > 0.5, rgba[..., 3] > MIDDLE)))
                    task.advance(1, note=uid)
    return rows


def fitted(rows: list[Row], told: float) -> tuple[dict[str, float], dict[str, int | str]]:
    """Return the weights with their bias, and counts on objects left out of the fit."""
    names = list(rows[0].signs)
    # Roots, as in `photo.doubt.confidence`.
    signs = np.sqrt([[row.signs[name] for name in names] for row in rows])
    bad = np.array([row.iou < BAD for row in rows])
    uids = np.array([row.uid for row in rows])
    left_out = np.zeros(len(rows))
    for uid in np.unique(uids):
        mine = uids == uid
        # Object by object: views of the same object are alike and would flatter the fit.
        left_out[mine] = signs[mine] @ regression(signs[~mine], bad[~mine])
    weights = regression(signs, bad)
    # Chosen by what must be told: the regression's constant depends on the mix of masks.
    bias = float(np.quantile(left_out[bad], 1.0 - told, method="lower"))
    refused = left_out >= bias
    counts: dict[str, int | str] = {
        "masks": len(rows),
        "bad": int(bad.sum()),
        "told": f"{refused[bad].mean():.0%}",
        "refused": f"{refused[~bad].mean():.0%}",
    }
    return {"bias": bias, **dict(zip(names, weights.tolist(), strict=True))}, counts


def regression(signs: Floats, bad: NDArray[np.bool_]) -> Floats:
    """Return the weights (S,), at least 0, of a logistic regression with a ridge, without its constant."""
    mean, spread = signs.mean(0), signs.std(0) + 1e-9
    design = np.column_stack([(signs - mean) / spread, np.ones(len(signs))])
    ridge = np.diag([*[RIDGE] * signs.shape[1], 0.0])
    solution = np.zeros(design.shape[1])
    for _ in range(STEPS):
        chance = 1.0 / (1.0 + np.exp(-design @ solution))
        # Newton's method; the ridge keeps it solvable when a sign separates all masks.
        hessian = design.T @ (design * (chance * (1.0 - chance))[:, None]) + ridge
        solution -= np.linalg.solve(hessian, design.T @ (chance - bad) + ridge @ solution)
    # A sign must never speak for a mask, whatever the sample says.
    return np.asarray(np.maximum(solution[:-1] / spread, 0.0))


if __name__ == "__main__":
    raise SystemExit(main())
