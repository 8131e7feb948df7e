"""Package a trained model: weights in half precision and a card with its figures.

python -m bench.mini --run DIR --evaluation NAME=FILE.json... --data TEXT --command FILE --out zero123/weights/mini

--run is a training run; --evaluation names a result of `zero123 evaluate --json`; --data says what the model learnt
from; --command is a file with the commands that made it, which the card shows as they are.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from base.errors import Failure, UsageError
from bench.small import half_weights
from evaluation.table import measures_table, novel_views_notes
from inference.models import load_model
from train.spec import TrainSummary, read_summary
from zero123.model import trained_parts

CARD = "README.md"
LIMIT_BYTES = 12_000_000
"""The most for weights and card together: they are part of every installation."""

TEMPLATE = """# {name}

A model of {parameters:,} parameters for views of {height} × {width} pixels, for a first try without a network and
without an accelerator. Licence: CC0 1.0. {data}

The last run had {images:,} images and took {hours:.1f} hours. A model of this size shows an object's
shape and colours from the asked side, blurred; it cannot show fine details, and turns objects unlike its training
objects less well.

## Figures

Objects that were never used in training, by `zero123 evaluate`, in the steps of each table:

{tables}

## How it was made

```sh
{command}
```
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, metavar="DIR")
    parser.add_argument("--evaluation", action="append", default=[], metavar="NAME=FILE.json")
    parser.add_argument("--data", required=True, metavar="TEXT")
    parser.add_argument("--command", type=Path, required=True, metavar="FILE")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    options = parser.parse_args()
    try:
        results = [read_result(text) for text in options.evaluation]
        package(options.run, results, options.data, options.command.read_text().strip(), options.out)
    except Failure as failure:
        sys.stderr.write(f"{failure}\n")
        return failure.exit_code
    return 0


def package(run: Path, results: list[tuple[str, dict[str, Any]]], data: str, command: str, out: Path) -> None:
    """Write the newest model of a run in half precision, and its card; raises Failure above LIMIT_BYTES."""
    written = half_weights(run, out, LIMIT_BYTES)
    text = card(out, read_summary(run, first=True), results, data, command)
    (out / CARD).write_text(text, encoding="utf-8")
    if (size := written["bytes"] + len(text.encode())) > LIMIT_BYTES:
        raise Failure(f"{out}: expected at most {LIMIT_BYTES:,} bytes, got {size:,}")
    print(f"{out}: {size / 1e6:.2f} MB")


def card(
    folder: Path, summary: TrainSummary, results: list[tuple[str, dict[str, Any]]], data: str, command: str
) -> str:
    """Write the card of the model in `folder`, with a table for each (name, values of `novel_views_json`)."""
    model = load_model(folder, "cpu")
    parts = trained_parts(model).values()
    height, width = model.hw
    return TEMPLATE.format(
        name=folder.name,
        parameters=sum(parameter.numel() for part in parts for parameter in part.parameters()),
        height=height,
        width=width,
        data=data,
        images=summary.images,
        hours=summary.seconds / 3600.0,
        tables="\n\n".join(_table(name, values) for name, values in results),
        command=command,
    )


def _table(name: str, values: dict[str, Any]) -> str:
    table = measures_table(values, f"{values['pairs']} views of {name}")
    steps = values["settings"]["evaluate"]["steps"]
    asked = f"The model answered in {steps} step{'' if steps == 1 else 's'}."
    margin = f"The model is {values['margin_db']:+.2f} dB from the better of the input and white."
    return "\n".join([table, "", asked, margin, *novel_views_notes(values)[1:]])


def read_result(text: str) -> tuple[str, dict[str, Any]]:
    """Read a result given as NAME=FILE.json. Raises UsageError for another form."""
    name, _, file = text.partition("=")
    if not file:
        raise UsageError(f"--evaluation: expected NAME=FILE.json, got {text!r}")
    return name, json.loads(Path(file).read_text(encoding="utf-8"))


if __name__ == "__main__":
    raise SystemExit(main())
