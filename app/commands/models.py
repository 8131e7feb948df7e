"""`zero123 models`: which models there are, on which terms, and what is here."""

import argparse
from pathlib import Path

RUNS = Path("runs")


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "List the models that --model takes by name: the packaged, and the public with layout, size and licence; and "
        "the newest checkpoint of each training run below runs/. Nothing is fetched."
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print a line for each model."""
    from zero123.checkpoint import read_index
    from zero123.locate import runs_below
    from zero123.public import cached_path, packaged_models, public_models

    del options
    for name, folder in packaged_models().items():
        slot4 = read_index(folder)["_zero123"]["pose_slot4"]
        print(f"{name:<34} ours      slot 4: {slot4:<18} CC0-1.0; packaged: {folder}")
    for name, model in public_models().items():
        where = cached_path(model)
        terms = model.licence if model.commercial else f"{model.licence}; needs --accept-licence"
        state = f"here: {where}" if where else f"not here, about {model.gigabytes:g} GB from {model.source}"
        print(f"{name:<34} {model.layout:<9} slot 4: {model.pose_slot4:<18} {terms}; {state}")
    # The newest first.
    for checkpoint in reversed(runs_below(RUNS)):
        print(f"{checkpoint}  trained here")
    return 0
