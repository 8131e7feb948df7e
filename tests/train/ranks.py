"""One rank of a small run, for tests that start several: `python -m tests.train.ranks DATASET OUT JSON`.

JSON holds changes of the training settings.
"""

import json
import sys
from pathlib import Path

from base.errors import Failure
from base.progress import SILENT
from base.storage import Storage
from tests.train.runs import model_settings, train, train_settings


def main(dataset: str, out: str, changes: str) -> int:
    settings = train_settings(**json.loads(changes))
    try:
        done = train(model_settings(), settings, Storage(dataset), Path(out), SILENT)
    except Failure as failure:
        sys.stderr.write(f"{failure}\n")
        return failure.exit_code
    sys.stdout.write(f"{done.images} images\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
