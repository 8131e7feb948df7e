"""Faults of the data: what is wrong with objects that are rendered all the same, and how many have each fault."""

from collections.abc import Mapping, Sequence
from typing import Any

from base.outcomes import Outcome
from pipeline.catalog.columns import Columns, Indices
from pipeline.catalog.rows import ObjectRow
from pipeline.catalog.tables import OBJECTS, Catalog, sql_list

FAULTS = {
    "missing_pictures": "with missing pictures",
    "merged_faces": "with merged faces",
    "culled_faces": "with culled faces",
    "stray_faces": "with stray faces outside the framing",
    "other_frame": "in another frame than the first",
}
"""The columns of rows and attempts that tell of faults, and how people are told."""

RENDERED = f"outcome in ({sql_list([Outcome.OK, Outcome.MISSING_PICTURES])})"
"""The condition in SQL of objects whose faults are known and count."""


def fault_counts(catalog: Catalog, where: str, table: str = OBJECTS) -> dict[str, int]:
    """Count the rows of `table` with each fault, by column, without counts of 0.

    A catalogue of an earlier release lacks columns, and unrecorded faults are not counted.
    """
    present = [name for name in FAULTS if name in catalog.columns(table)]
    if not present:
        return {}
    sums = ", ".join(f"sum(case when {has_fault(name)} then 1 else 0 end) as {name}" for name in present)
    counts = catalog.select(table, f"select {sums} from rows where {where}")  # noqa: S608
    return {name: int(count) for row in counts for name, count in row.items() if count}


def missing_examples(catalog: Catalog, where: str, table: str, most: int) -> list[dict[str, Any]]:
    """Return uid, outcome and missing pictures of some rows of `table` that have any."""
    if "missing_pictures" not in catalog.columns(table):
        return []
    these = f"{has_fault('missing_pictures')} and {where}"
    query = f"select uid, outcome, missing_pictures from rows where {these} order by uid limit {most}"  # noqa: S608
    return catalog.select(table, query)


def count_faults(rows: Columns[ObjectRow], indices: Indices) -> dict[str, int]:
    """Count the rows at some indices with each fault, by column, without counts of 0."""
    counts = {name: sum(n for value, n in rows.counts(name, indices).items() if value) for name in FAULTS}
    return {name: count for name, count in counts.items() if count}


def has_fault(name: str) -> str:
    """Return the condition in SQL that a row has the fault of a column; false for what was not recorded."""
    # Rows of earlier releases have null here, and a comparison with null is neither true nor false.
    return f"coalesce({name}, '') <> ''" if name == "missing_pictures" else f"coalesce({name}, 0) > 0"


def fault_sentence(counts: Mapping[str, int]) -> str:
    """Say how many objects have each fault, in a single line; empty without any."""
    return ", ".join(f"{counts[name]} {told}" for name, told in FAULTS.items() if counts.get(name))


def fault_lines(counts: Mapping[str, int]) -> Sequence[tuple[str, int]]:
    """Return each fault that objects have as people are told of it, with the number of objects."""
    return [(f"objects {told}", counts[name]) for name, told in FAULTS.items() if counts.get(name)]
