"""The report of each build run: `reports/<run>.html`, and the newest also as `report.html` at the root.

`reports/<run>.json` keeps the plan and the settings at the start of the run; the catalogue has the rest.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import PurePosixPath
from typing import Any

import yaml

from base.digest import digest_json
from base.errors import Failure, UsageError
from base.storage import Storage
from pipeline.catalog.tables import ATTEMPTS, Catalog
from pipeline.report.run_facts import run_facts
from report.pages.build_page import build_page
from report.wording import BUILDING, Wording

FOLDER, NEWEST = "reports", "report.html"


def keep_plan(storage: Storage, run: str, plan: Sequence[str], settings: Mapping[str, Any], words: Wording) -> None:
    """Save the plan of a run for its report."""
    kept = {"plan": list(plan), "settings": dict(settings), "words": asdict(words)}
    storage.write(f"{FOLDER}/{run}.json", (json.dumps(kept, indent=1, sort_keys=True) + "\n").encode())


def write_report(storage: Storage, run: str) -> None:
    """Write the present report of a run. Raises Failure for unreadable data or a failed write."""
    page = report_page(storage, run).encode()
    storage.write(f"{FOLDER}/{run}.html", page)
    # A copy instead of a link: object stores have no links.
    storage.write(NEWEST, page)


def report_page(storage: Storage, run: str = "") -> str:
    """Make the report of a run, by default the newest, from the catalogue and its saved plan.

    Raises UsageError for an unknown run, Failure for unreadable data.
    """
    runs = list_runs(storage)
    if not runs:
        raise Failure(f"{storage.root}: expected a dataset with a build run, found no run; build it first")
    if run and run not in runs:
        raise UsageError(f"{storage.root}: expected a run among {', '.join(runs[-5:])}, got {run!r}")
    run = run or runs[-1]
    kept = _read_kept(storage, run)
    facts = replace(run_facts(storage, run), plan=tuple(kept["plan"]), words=kept["words"])
    if kept["settings"]:
        text = yaml.safe_dump(kept["settings"], sort_keys=True, allow_unicode=True)
        facts = replace(facts, settings=text, settings_digest=digest_json(kept["settings"]))
    return build_page(facts)


def list_runs(storage: Storage) -> list[str]:
    """List all runs with attempts or a plan, oldest first: a run's name begins with its start time."""
    rows = Catalog(storage).select(ATTEMPTS, "select distinct run from rows where run <> ''")
    names = (PurePosixPath(name) for name in storage.names(FOLDER))
    # A run stopped before its first attempt has only its plan.
    return sorted({row["run"] for row in rows} | {name.stem for name in names if name.suffix == ".json"})


def _read_kept(storage: Storage, run: str) -> dict[str, Any]:
    name = f"{FOLDER}/{run}.json"
    if not storage.exists(name):
        return {"plan": [], "settings": {}, "words": BUILDING}
    try:
        kept = json.loads(storage.read(name))
        # Runs of earlier releases are builds, and do not say so.
        words = Wording(**kept["words"]) if "words" in kept else BUILDING
        return {"plan": [str(line) for line in kept["plan"]], "settings": dict(kept["settings"]), "words": words}
    except (ValueError, TypeError, KeyError) as error:
        raise Failure(f"{storage.root}/{name}: expected the plan of a run, got: {error}") from None
