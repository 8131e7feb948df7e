"""`zero123 models`: which models there are, on which terms, and what is here."""

import argparse
from pathlib import Path

RUNS = Path("runs")


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "List the public models that --model takes by name, with their layout, size and licence, and the newest "
        "checkpoint of each training run below runs/. Nothing is fetched."
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print a line for each model."""
    from zero123.locate import runs_below
    from zero123.public import cached_path, public_models

    del options
    for name, model in public_models().items():
        where = cached_path(model)
        terms = model.licence if model.commercial else f"{model.licence}; needs --accept-licence"
        state = f"here: {where}" if where else f"not here, about {model.gigabytes:g} GB from {model.source}"
        print(f"{name:<34} {model.layout:<9} slot 4: {model.pose_slot4:<18} {terms}; {state}")
    for checkpoint in reversed(runs_below(RUNS)):
        print(f"{checkpoint}  trained here")
    return 0
