"""Collect the facts of a build run from the catalogue, as sums and samples. The table engine counts them.

A run is the work of a `build` process. Its attempts carry its name.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow

from base.errors import Failure
from base.storage import Storage
from pipeline.catalog.columns import texts
from pipeline.catalog.faults import RENDERED, fault_counts, fault_lines, missing_examples
from pipeline.catalog.rows import ObjectRow, device_text, location_of
from pipeline.catalog.tables import ATTEMPTS, OBJECTS, Catalog, sql_list
from report.images import shrink
from report.pages.build_facts import (
    BuildFacts,
    FailedObject,
    FailureGroup,
    MachineFacts,
    MissingPictures,
    Pace,
    PhaseFacts,
    SampleViews,
    SlowObject,
)
from shards.reader import read_sample
from shards.version import version_numbers

PARTS, FEWEST_PARTS, ATTEMPTS_A_PART = 120, 8, 4
SLOWEST, MACHINES, GROUPS, EXAMPLES = 12, 20, 12, 3
PICTURED, VIEWS, VIEW_PX = 24, 12, 128
MISSING_SHOWN = 50
TAIL_LETTERS, REASON_LETTERS = 2000, 300
SPENT = "coalesce(array_sum(map_values(seconds)), 0.0)"


def run_facts(storage: Storage, run: str) -> BuildFacts:
    """The facts of run `run`, without its plan and settings. Raises Failure for an unreadable catalogue."""
    catalog, numbers = Catalog(storage), version_numbers(storage)
    empty = BuildFacts(dataset=PurePosixPath(storage.root).name, run=run, version=numbers[-1] if numbers else 0)
    mine = f"from rows where run = {sql_list([run])}"
    (total,) = catalog.select(
        ATTEMPTS,
        f"select count(*) as attempts, min(at) as began, max(at + {SPENT}) as ended, sum({SPENT}) as worker_s, "
        f"count(distinct host) as machine_count {mine}",
    ) or [{"attempts": 0}]
    if not total["attempts"]:
        return empty
    facts = replace(empty, **total)
    of_run = f"run = {sql_list([run])} and {RENDERED}"
    pace, pace_s = _pace(catalog, mine, facts)
    pictured, missing = _pick_pictures(storage, catalog, mine)
    return replace(
        facts,
        outcomes=_outcomes(catalog, mine),
        faults=tuple(fault_lines(fault_counts(catalog, of_run, ATTEMPTS))),
        missing_pictures=_missing_pictures(catalog, of_run),
        pace=pace,
        pace_s=pace_s,
        phases=_phases(catalog, mine),
        slowest=_slowest(catalog, mine),
        failures=_failures(catalog, mine),
        machines=_machines(catalog, mine),
        pictured=pictured,
        missing=missing,
    )


def _missing_pictures(catalog: Catalog, of_run: str) -> tuple[MissingPictures, ...]:
    rows = missing_examples(catalog, of_run, ATTEMPTS, MISSING_SHOWN)
    titles = _titles(catalog, rows)
    return tuple(
        MissingPictures(
            row["uid"], titles.get(row["uid"], ""), row["outcome"], row["missing_pictures"][:REASON_LETTERS]
        )
        for row in rows
    )


def _outcomes(catalog: Catalog, mine: str) -> dict[str, int]:
    """Count the last outcome of each object, most frequent first.

    NumPy does it in a tenth of the memory of the table engine, where every uid would be a group.
    """
    nothing = pyarrow.table({"uid": pyarrow.array([], pyarrow.string()), "outcome": [], "at": []})
    parts = (nothing, *catalog.parts(ATTEMPTS, f"select uid, outcome, at {mine}"))
    columns = [(texts(part["uid"]), part["at"].to_numpy(), texts(part["outcome"])) for part in parts]
    uids, at, outcomes = (np.concatenate(values) for values in zip(*columns, strict=True))
    order = np.lexsort((outcomes, at, uids))
    uids = uids[order]
    last = np.append(uids[1:] != uids[:-1], True)[: len(uids)]
    names, counts = np.unique(outcomes[order[last]], return_counts=True)
    found = zip((name.decode() for name in names), counts.tolist(), strict=True)
    return dict(sorted(found, key=lambda pair: (-pair[1], pair[0])))


def _pace(catalog: Catalog, mine: str, facts: BuildFacts) -> tuple[tuple[Pace, ...], float]:
    parts = min(PARTS, max(FEWEST_PARTS, facts.attempts // ATTEMPTS_A_PART))
    # A run of a single instant would divide by zero.
    length = max(facts.wall_s, 1e-3) / parts
    # `least`, because the last end lies exactly on the upper bound.
    part = f"least({parts - 1}, cast(floor((at + {SPENT} - {facts.began!r}) / {length!r}) as bigint))"
    rows = catalog.select(
        ATTEMPTS,
        f"select {part} as part, sum(case when outcome = 'ok' then 1 else 0 end) as ok, count(*) as n {mine} "
        "group by part",
    )
    found = {row["part"]: row for row in rows}
    nothing = {"ok": 0, "n": 0}
    counts = [found.get(part, nothing) for part in range(parts)]
    starts = [facts.began + index * length for index in range(parts)]
    return tuple(
        Pace(start, count["ok"], count["n"] - count["ok"]) for start, count in zip(starts, counts, strict=True)
    ), length


def _phases(catalog: Catalog, mine: str) -> tuple[PhaseFacts, ...]:
    rows = catalog.select(
        ATTEMPTS,
        "select name, sum(s) as total_s, avg(s) as mean_s, max(s) as most_s from "  # noqa: S608
        f"(select unnest(map_keys(seconds)) as name, unnest(map_values(seconds)) as s {mine}) "
        "group by name order by total_s desc, name",
    )
    return tuple(PhaseFacts(**row) for row in rows)


def _slowest(catalog: Catalog, mine: str) -> tuple[SlowObject, ...]:
    rows = catalog.select(
        ATTEMPTS,
        f"select uid, outcome, seconds, {SPENT} as spent {mine} order by spent desc, attempt limit {SLOWEST}",
    )
    titles, found = _titles(catalog, rows), []
    for row in rows:
        phase, most = max(row["seconds"], key=lambda item: item[1], default=("", 0.0))
        found.append(SlowObject(row["uid"], titles.get(row["uid"], ""), row["outcome"], row["spent"], phase, most))
    return tuple(found)


def _failures(catalog: Catalog, mine: str) -> tuple[FailureGroup, ...]:
    groups = catalog.select(
        ATTEMPTS,
        f"select outcome, phase, count(*) as n {mine} and outcome <> 'ok' "
        f"group by outcome, phase order by n desc, outcome, phase limit {GROUPS}",
    )
    rows = catalog.select(
        ATTEMPTS,
        f"select outcome, phase, uid, left(reason, {REASON_LETTERS}) as reason, "  # noqa: S608
        f"right(stderr_tail, {TAIL_LETTERS}) as tail from (select *, "
        f"row_number() over (partition by outcome, phase order by attempt) as nth {mine} and outcome <> 'ok') "
        f"where nth <= {EXAMPLES} order by nth",
    )
    titles = _titles(catalog, rows)
    examples: dict[tuple[str, str], list[FailedObject]] = {}
    for row in rows:
        shown = FailedObject(row["uid"], titles.get(row["uid"], ""), row["reason"], row["tail"])
        examples.setdefault((row["outcome"], row["phase"]), []).append(shown)
    return tuple(
        FailureGroup(group["outcome"], group["phase"], group["n"], tuple(examples[group["outcome"], group["phase"]]))
        for group in groups
    )


def _machines(catalog: Catalog, mine: str) -> tuple[MachineFacts, ...]:
    rows = catalog.select(
        ATTEMPTS,
        f"select host, max(device) as device, count(*) as attempts, sum({SPENT}) as seconds, max(peak_mb) as peak_mb "
        f"{mine} group by host order by attempts desc, host limit {MACHINES}",
    )
    return tuple(MachineFacts(**{**row, "device": device_text(row["device"])}) for row in rows)


def _titles(catalog: Catalog, rows: Iterable[dict[str, Any]]) -> dict[str, str]:
    uids = {row["uid"] for row in rows}
    found = catalog.select(OBJECTS, f"select uid, title from rows where uid in ({sql_list(sorted(uids))})")  # noqa: S608
    return {row["uid"]: row["title"] for row in found}


def _pick_pictures(storage: Storage, catalog: Catalog, mine: str) -> tuple[tuple[SampleViews, ...], tuple[str, ...]]:
    """Show views of some objects of the run, and say why others could not be read. Attempt names are random."""
    drawn = catalog.select(ATTEMPTS, f"select uid {mine} and outcome = 'ok' order by attempt limit {PICTURED}")
    rows = catalog.select(
        OBJECTS,
        f"select * from rows where outcome = 'ok' and uid in ({sql_list(row['uid'] for row in drawn)}) order by uid",  # noqa: S608
    )
    shown, missing = list[SampleViews](), list[str]()
    for row in rows:
        try:
            # A damaged shard must not cost the report, least of all the report of the build that found it.
            shown.append(_views(storage, row))
        except Failure as failure:
            missing.append(f"not shown: {failure}")
    return tuple(shown), tuple(missing)


def _views(storage: Storage, row: dict[str, Any]) -> SampleViews:
    sample = read_sample(storage, *location_of(ObjectRow(**row)))
    views: Sequence[int] = range(min(VIEWS, len(sample.extrinsics)))
    # The picture of sampled views comes first: people compare them with it.
    pictured = [] if (given := sample.input()) is None else [given]
    pictured += [sample.image(view) for view in views]
    return SampleViews(row["uid"], row["title"], tuple(shrink(one, VIEW_PX) for one in pictured))
