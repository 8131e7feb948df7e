"""Count the models that look different when they are shown as viewers show them.

python -m bench.viewers FOLDER... [--set KEY=VALUE] [--json FILE]

Renders three small views of each model twice from the same cameras and random numbers: with the settings of
docs/rendering.md, "As viewers show it", and as Blender's importers and Cycles show the model. A view changes if a pixel
on white differs by more than 8 of 255. The last columns count changed models by what was found in them.
"""

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from app.settings import load_settings
from base.errors import UsageError
from base.outcomes import Outcome
from base.versions import machine, versions
from bench.references import pictures
from evaluation.table import markdown_table
from render.child import RenderChild
from render.formats.roots import Root
from render.formats.suffixes import READ_SUFFIXES
from render.job import RenderResult
from render.run import render_views
from render.settings import RenderSettings
from report.images import composite

SMALL = ["render.hw=[96,96]", "render.views=3", "render.samples=8", "render.light=uniform"]
AS_IMPORTED = [
    "render.backfaces=shown",
    "render.coincident_faces=kept",
    "render.bounds=all",
    "render.importer_quirks=kept",
    "render.bounces.transparent=8",
    "render.missing_pictures=render",
]
SEED = 0
SEEN_DIFFERENCE = 8
FACTS = ("culled_faces", "merged_faces", "unseen_faces", "stray_faces", "other_frame")

Row = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for both sides")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    rows = [row for folder in options.folders for row in compare(folder, options.set)]
    table = [summary(folder, [row for row in rows if row["folder"] == str(folder)]) for folder in options.folders]
    print(markdown_table(list(table[0]), [[str(value) for value in row.values()] for row in table]))
    if options.json:
        facts = {"rows": rows, "table": table, "machine": machine(), "versions": versions()}
        options.json.write_text(json.dumps(facts, indent=2) + "\n")
    return 0


def compare(folder: Path, changes: Sequence[str]) -> list[Row]:
    """Render every model below `folder` both ways, and return a row for each."""
    models = sorted(path for path in folder.rglob("*") if path.suffix.lower() in READ_SUFFIXES)
    if not models:
        raise UsageError(f"{folder}: expected model files, got nothing")
    shown = load_settings(None, [], [*SMALL, *changes]).render
    imported = load_settings(None, [], [*SMALL, *AS_IMPORTED, *changes]).render
    rows = []
    # Two children serve all models: their starts would take longer than small views.
    with RenderChild(shown) as ours, RenderChild(imported) as plain:
        for model in models:
            rows.append(
                {"folder": str(folder), **_row(model, (ours, shown), (plain, imported), Root.of_folder(folder))}
            )
            print(f"{model.name[:40]:<40} {rows[-1]['change']}", flush=True)
    return rows


def _row(
    model: Path, ours: tuple[RenderChild, RenderSettings], plain: tuple[RenderChild, RenderSettings], root: Root
) -> Row:
    """Render one model both ways and say what changes: nothing, the outcome, the cameras' frame or the pixels."""
    with tempfile.TemporaryDirectory() as scratch:
        results = []
        for name, (child, settings) in (("ours", ours), ("plain", plain)):
            folder = Path(scratch) / name
            folder.mkdir()
            results.append(render_views(child, model, "model", settings, SEED, folder, root=root))
        change = _change(results[0], results[1], Path(scratch))
    facts = {name: results[0].checks.get(name, 0) for name in FACTS}
    return {"model": model.name, "change": change, "outcomes": [str(each.outcome) for each in results], **facts}


def _change(ours: RenderResult, plain: RenderResult, scratch: Path) -> str:
    if ours.outcome is not plain.outcome:
        return f"{plain.outcome} -> {ours.outcome}"
    if ours.outcome is not Outcome.OK:
        return "nothing"
    pairs = zip(*(pictures(scratch / name, len(ours.views)) for name in ("ours", "plain")), strict=True)
    # Bytes would wrap around below 0.
    worst = max(int(np.abs(composite(a).astype(int) - composite(b).astype(int)).max()) for a, b in pairs)
    return f"pixels by {worst}" if worst > SEEN_DIFFERENCE else "nothing"


def summary(folder: Path, rows: Sequence[Row]) -> Row:
    """Count the changed models of a folder, by outcome and by what was found in them."""
    changed = [row for row in rows if row["change"] != "nothing"]
    found = Counter(name for row in changed for name in FACTS if row[name])
    outcomes = sum("->" in row["change"] for row in changed)
    return {
        "folder": folder.name,
        "models": len(rows),
        "changed": len(changed),
        "by outcome": outcomes,
        **{name.replace("_", " "): found[name] for name in FACTS},
    }


if __name__ == "__main__":
    raise SystemExit(main())
