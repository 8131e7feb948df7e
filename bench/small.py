"""Make the `small` model, from objects to figures and weights. After a stop the same command continues.

python -m bench.small --objects DIR --test DIR [--out runs/small] [--preset small] [--set KEY=VALUE]
                      [--bench-preset paper] [--bench-set KEY=VALUE] [--file-mb 16]

Renders --objects into a dataset, and --test into another that is never used in training; caches latents; trains on
them; measures the model and the baselines on held-out objects and on --test; runs bench.train; writes weights in half
precision, at most --file-mb of tensors per file. The results are in figures.md and figures.json. A CPU can do it all
at `tiny` size: --preset tiny --bench-preset tiny.
"""

import argparse
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from base.errors import Failure
from evaluation.table import measures_table, novel_views_notes
from inference.models import load_model
from train.log import read_log
from train.page import NAME
from zero123.model import trained_parts

LIMIT_BYTES = 48_000_000
"""The limit for all weights together, because users download them."""
WEIGHTS = "weights"


@dataclass(frozen=True)
class Plan:
    """The paths of a run, and the settings for every command."""

    objects: Path
    test: Path
    out: Path
    settings: tuple[str, ...]
    bench: tuple[str, ...]
    held_out: float
    file_bytes: int

    def command(self, name: str, dataset: str, *words: str) -> list[str]:
        """Return a `zero123` command on a dataset."""
        root = f"storage.root={self.out / dataset}"
        return [sys.executable, "-m", "app", name, *self.settings, *words, "--set", root]

    def commands(self) -> list[list[str]]:
        """List the commands in order. Each continues where it was stopped."""
        model = str(self.out / "model")
        held_out = ["--set", f"shards.val_fraction={self.held_out}"]
        seen = [["build", "dataset", "--set", f"objects.folder={self.objects}", *held_out]]
        seen += [["build", "test", "--set", f"objects.folder={self.test}", "--set", "shards.val_fraction=0.0"]]
        seen += [["cache", "dataset"]]
        seen += [["train", "dataset", "--out", model, "--set", "train.cached_latents=true"]]
        trained_on = ["--set", f"evaluate.training_root={self.out / 'dataset'}"]
        for dataset, split in (("dataset", "val"), ("test", "train")):
            where = ["--out", str(self.out / f"on-{dataset}"), "--json", str(self.out / f"on-{dataset}.json")]
            seen += [["evaluate", dataset, "--model", model, *where, *trained_on, "--set", f"evaluate.split={split}"]]
        steps = [sys.executable, "-m", "bench.train", *self.bench, "--json", str(self.out / "bench.json")]
        return [*(self.command(*words) for words in seen), steps]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=Path, required=True, metavar="DIR")
    parser.add_argument("--test", type=Path, required=True, metavar="DIR", help="objects never used in training")
    parser.add_argument("--out", type=Path, default=Path("runs/small"), metavar="DIR")
    parser.add_argument("--held-out", type=float, default=0.1, metavar="SHARE", help="of --objects")
    parser.add_argument(
        "--file-mb", type=float, default=16.0, metavar="MB", help="the most tensors per file of weights"
    )
    parser.add_argument("--preset", default="small", metavar="NAME")
    parser.add_argument("--bench-preset", default="paper", metavar="NAME")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--bench-set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    # A model below its goal must still get its figures.
    words = [f"--set={setting}" for setting in ("evaluate.minimum_margin_db=-99.0", *options.set)]
    plan = Plan(
        options.objects.resolve(), options.test.resolve(), options.out.resolve(),
        ("--preset", options.preset, *words),
        ("--preset", options.bench_preset, *(f"--set={setting}" for setting in options.bench_set)),
        options.held_out,
        round(options.file_mb * 1e6),
    )  # fmt: skip
    try:
        run_commands(plan)
    except Failure as failure:
        sys.stderr.write(f"{failure}\n")
        return failure.exit_code
    return 0


def run_commands(plan: Plan) -> None:
    """Run all commands and write the results. Raises Failure at the first command to fail."""
    for words in plan.commands():
        print("$", " ".join(words[1:]), flush=True)
        if subprocess.run(words, check=False).returncode:
            raise Failure(f"{' '.join(words[1:])}: expected it to succeed; this command again goes on from there")
    found = {
        "weights": half_weights(plan.out / "model", plan.out / WEIGHTS, plan.file_bytes),
        "training": [vars(row) for row in read_log(plan.out / "model" / "log.jsonl")],
        **{name: json.loads((plan.out / f"{name}.json").read_text()) for name in ("on-dataset", "on-test", "bench")},
    }
    (plan.out / "figures.json").write_text(json.dumps(found, indent=2) + "\n")
    (plan.out / "figures.md").write_text(page(found))
    print(page(found))
    print(f"curves and held-out views: {plan.out / 'model' / NAME}")


def half_weights(run: Path, folder: Path, file_bytes: int) -> dict[str, Any]:
    """Write a run's newest model in half precision, at most `file_bytes` of tensors per file; returns the sizes.

    Raises Failure when all files together exceed LIMIT_BYTES.
    """
    model = load_model(run, "cpu")
    for module in trained_parts(model).values():
        module.half()
    # Files of an earlier split must not stay beside the new ones.
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder, file_bytes)
    # Read back at once: weights that cannot be loaded must not be published.
    load_model(folder, "cpu")
    files = {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    if (size := sum(files.values())) > LIMIT_BYTES:
        raise Failure(f"{folder}: expected at most {LIMIT_BYTES:,} bytes, got {size:,}")
    return {"bytes": size, "files": files}


def page(found: dict[str, Any]) -> str:
    """Format the figures as Markdown."""
    last = found["training"][-1]
    loss = "—" if last["loss"] is None else f"{last['loss']:.4f}"
    lines = [
        f"{last['images']:,} images, loss {loss}, {last['images_per_s']:,.1f} images/s, "
        f"data wait {last['data_wait']:.1%}; weights {found['weights']['bytes'] / 1e6:.1f} MB.",
        *views(found["on-dataset"], "held-out objects"),
        *views(found["on-test"], "test objects"),
    ]
    return "\n".join(lines) + "\n"


def views(result: dict[str, Any], name: str) -> list[str]:
    """Format every measure of the model and the baselines, with notes."""
    table = measures_table(result, f"{result['pairs']} views of {name}")
    return ["", table, "", *novel_views_notes(result)]


if __name__ == "__main__":
    raise SystemExit(main())
