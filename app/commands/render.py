"""`zero123 render`: views of a model's file, without a dataset."""

import argparse
import json
from collections import Counter
from pathlib import Path

from app.commands.options import add_settings_flags, settings_of, writable_folder
from base.data_files import read_named
from base.outcomes import Outcome
from base.progress import standard_progress
from base.text import replace_controls
from geometry.camera import Lens
from geometry.rig import RIGS, Rig, rig_names


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    from render.layouts import LAYOUTS

    layouts = "; ".join(f"{name}: {meaning}" for name, meaning in LAYOUTS.items())
    parser.description = (
        "Render random views of models, each into its own folder: the same views as in a build, without Ray or a "
        f"dataset. Finished views are kept. Layouts: {layouts}."
    )
    parser.add_argument("models", nargs="+", type=Path, metavar="FILE", help="a model, or a folder of models")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="the views of a single FILE, else a folder for each model",
    )
    parser.add_argument(
        "--rig",
        metavar="NAME|FILE",
        help=f"the cameras of a rig ({', '.join(rig_names())}, or a YAML file, docs/sampling.md), with its lens, in "
        "place of random ones",
    )
    parser.add_argument("--layout", choices=LAYOUTS, default="views", help="default: %(default)s")
    add_settings_flags(parser, dry_run="print the resolved settings and the models found, and do nothing")
    parser.set_defaults(run=run)


def rig_overrides(name: str) -> list[str]:
    """Return the settings of `render` that a rig decides, as for `--set`. Raises UsageError for an unknown name."""
    rig = read_named(Rig, name, RIGS, "--rig")
    lens = rig.lens(0)
    # As JSON, since YAML would read some names as other things.
    words = [f"rig={json.dumps(name)}", "camera_sampling=rig", f"views={len(rig.cameras)}"]
    if rig.has_lens and isinstance(lens, Lens):
        words.append(f"lens={{focal_mm: {lens.focal_mm}, sensor_mm: {lens.sensor_mm}}}")
    return [f"render.{word}" for word in words]


def run(options: argparse.Namespace) -> int:
    """Render; exit code 1 when a model failed."""
    from app.rendering import list_requested_models, render_models
    from pipeline.catalog.faults import FAULTS, fault_sentence

    if options.rig is not None:
        options.overrides = [*rig_overrides(options.rig), *options.overrides]
    settings = settings_of(options)
    progress = standard_progress()
    asked = list_requested_models(options.models, options.out, progress)
    if options.dry_run:
        print(settings.as_yaml(), *(f"{one.model} -> {one.out}" for one in asked), sep="\n")
        return 0
    # A single model's folder is made whole by a rename, so only its parent must be writable.
    writable_folder(options.out.parent if len(asked) == 1 else options.out)
    failed, faults = 0, Counter[str]()
    for end in render_models(asked, settings.render, settings.run.seed, options.layout, progress):
        failed += end.result.outcome is not Outcome.OK
        ending = "up to date" if end.done_before else ": ".join(filter(None, (end.result.outcome, end.result.reason)))
        where = f" in {end.requested.out}" if end.result.outcome is Outcome.OK else ""
        progress.say(replace_controls(f"{end.requested.model}: {ending}{where}"))
        for warning in end.result.warnings:
            progress.say(replace_controls(f"{end.requested.model}: {warning}"))
        # Counted by model: a fault in many objects points to the data, not to a model.
        faults.update(name for name in FAULTS if end.result.faults[name])
    if faults:
        progress.say(f"faults of the data: {fault_sentence(faults)}")
    return 1 if failed else 0
