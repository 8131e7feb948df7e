"""`zero123 evaluate`: a model and a dataset in, figures out."""

import argparse
import json
from pathlib import Path

from app.commands.options import add_model_flag, add_settings_flags, settings_of, writable_folder
from base.progress import standard_progress
from base.storage import Storage, write_atomically


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "Ask the model for held-out views of the dataset at storage.root and compare them with the true renders: PSNR, "
        "SSIM, HaarPSI and, with evaluate.features, CLIP distance, beside baselines. Exit code 1 when the model is not "
        "evaluate.minimum_margin_db ahead of the input and of white."
    )
    add_model_flag(parser)
    parser.add_argument("--out", type=Path, default=Path("runs/evaluation"), metavar="DIR", help="default: %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write figures, machine, versions and settings")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: %(default)s)")
    add_settings_flags(parser, dry_run="print the resolved settings, and do nothing")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Evaluate and print the table."""
    settings = settings_of(options)
    if options.dry_run:
        print(settings.as_yaml())
        return 0
    from app.evaluating import evaluate_into, page_of
    from base.versions import machine, versions
    from evaluation.table import novel_views_json, novel_views_table
    from inference.models import load_model
    from shards.version import read_version

    storage = Storage(settings.storage.root)
    version = read_version(storage, settings.evaluate.version or None)
    pipeline = load_model(options.model, options.device)
    out = writable_folder(options.out)
    result = evaluate_into(out, pipeline, version, storage, settings.evaluate, standard_progress())
    write_atomically(out / "settings.yaml", settings.as_yaml().encode())
    used = versions()
    about = {"dataset version": str(version.number), "settings digest": settings.digest(), **used}
    page = page_of(result, storage.root, settings.evaluate.split, about)
    write_atomically(out / "report.html", page.encode())
    print(f"{novel_views_table(result)}\n\nreport: {out / 'report.html'}")
    if options.json:
        # A figure without its machine, versions and settings cannot be compared later.
        facts = {"machine": machine(), "versions": used, "settings": settings.model_dump(mode="json")}
        write_atomically(options.json, (json.dumps({**novel_views_json(result), **facts}, indent=2) + "\n").encode())
    return 0 if result.passed else 1
