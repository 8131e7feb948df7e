"""Stages of a run that are done once: each leaves a record of what it was made from and what it cost.

A stage whose record names the same inputs is not run again; a stage that was stopped has no record and runs again.
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
    """The stages of the run in `folder`, their costs and what each one found."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.costs: dict[str, StageCost] = {}

    def once(self, name: str, inputs: Any, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What `work` returned, now or in an earlier run with equal `inputs` (plain values, as is the result)."""
        digest = digest_json(inputs)
        record = self._record(name)
        if record and record["inputs"] == digest:
            self.costs[name] = StageCost(**record["cost"])
            return dict(record["result"])
        with self.measured(name):
            result = work()
        self._keep(name, digest, result)
        return result

    @contextmanager
    def measured(self, name: str) -> Iterator[None]:
        """Measure a stage that keeps its own account of what is done."""
        meter = Meter()
        try:
            with meter.stage(name):
                yield
        finally:
            self.costs[name] = meter.stages[0]

    def costing(self, name: str, work: Callable[[], bool]) -> None:
        """Run `work`, which says whether it did anything; if not, the cost on record is of the run that did."""
        with self.measured(name):
            worked = work()
        record = self._record(name)
        if worked or not record:
            self._keep(name, "", {})
        else:
            self.costs[name] = StageCost(**record["cost"])

    def _path(self, name: str) -> Path:
        return self.folder / "stages" / f"{name}.json"

    def _record(self, name: str) -> dict[str, Any]:
        try:
            record = json.loads(self._path(name).read_bytes())
        except (FileNotFoundError, ValueError):  # never run, or a record that is no record: the stage runs
            return {}
        return record if isinstance(record, dict) and {"inputs", "cost", "result"} <= set(record) else {}

    def _keep(self, name: str, digest: str, result: dict[str, Any]) -> None:
        record = {"inputs": digest, "cost": asdict(self.costs[name]), "result": result}
        write_atomically(self._path(name), (json.dumps(record, indent=2) + "\n").encode())
