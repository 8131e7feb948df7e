"""Stages of a run, each done once and recorded with its inputs and cost.

A stage with a record of equal inputs is not run again. A stopped stage has no record and runs again.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from base.digest import digest_json
from base.measure import Meter, StageCost
from base.storage import write_atomically


class Stages:
    """The stages of the run in `folder`, with their costs and results."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.costs: dict[str, StageCost] = {}

    def run_once(self, name: str, inputs: Any, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return the result of `work`, now or in an earlier run with equal `inputs` (plain values, like the result)."""
        digest = digest_json(inputs)
        record = self._record(name)
        if record and record["inputs"] == digest:
            self.costs[name] = StageCost(**record["cost"])
            return dict(record["result"])
        with self.measure(name):
            result = work()
        self._keep(name, digest, result)
        return result

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Measure a stage that records its own progress."""
        meter = Meter()
        try:
            with meter.stage(name):
                yield
        finally:
            self.costs[name] = meter.stages[0]

    def run(self, name: str, work: Callable[[], bool]) -> None:
        """Run `work`, which returns whether it did anything; otherwise the recorded cost of an earlier run is kept."""
        with self.measure(name):
            did_work = work()
        record = self._record(name)
        # A run with nothing to do takes no time, and the page should show what the work took.
        if did_work or not record:
            self._keep(name, "", {})
        else:
            self.costs[name] = StageCost(**record["cost"])

    def forget(self, name: str) -> None:
        """Run a stage again although it has a record: what it made is gone."""
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self.folder / "stages" / f"{name}.json"

    def _record(self, name: str) -> dict[str, Any]:
        try:
            record = json.loads(self._path(name).read_bytes())
        except (FileNotFoundError, ValueError):  # never run, or a broken record: the stage runs
            return {}
        return record if isinstance(record, dict) and {"inputs", "cost", "result"} <= set(record) else {}

    def _keep(self, name: str, digest: str, result: dict[str, Any]) -> None:
        record = {"inputs": digest, "cost": asdict(self.costs[name]), "result": result}
        write_atomically(self._path(name), (json.dumps(record, indent=2) + "\n").encode())
