"""What a dataset says of itself to people: a card (README.md), a picture, and whose each object is (ATTRIBUTION.csv).

All three follow from a version and the catalogue's rows alone, and lie at the root, where hubs and people look.
"""

import csv
import io
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow
import yaml
from numpy.typing import NDArray

from base.outcomes import Outcome
from base.storage import Storage
from base.text import replace_controls
from pipeline.catalog.faults import fault_counts, fault_lines
from pipeline.catalog.tables import OBJECTS, Catalog, quoted
from report.contact_sheet import contact_sheet
from report.escape import csv_cell, markdown
from report.images import encoded, fitted, over
from report.numbers import bytes_text
from shards.damage import DamagedSample
from shards.reader import read_sample
from shards.version import SPLITS, Version

CARD, PICTURE, ATTRIBUTION = "README.md", "card.png", "ATTRIBUTION.csv"
PICTURED, PICTURED_PX = 24, 128
COLUMNS = ("uid", "title", "author", "licence", "page", "source", "category", "split")
NO_LICENCE = "not stated"
OK = f"outcome = '{Outcome.OK}'"
SORTED_AT_ONCE, SAMPLED = 1 << 17, 1 << 6
"""About so many rows are sorted in memory at a time, as one of so many uids tells."""
OTHER_FILES = " `versions/` names the shards of each version; other files in `shards/` belong to earlier ones."


def refresh_card(storage: Storage, version: Version) -> None:
    """Write the card of the newest version unless it is there already. Raises Failure for what cannot be read."""
    if storage.exists(CARD) and storage.read(CARD).startswith(_opening(version).encode()):
        return
    catalog = Catalog(storage)
    if version.shards:
        storage.write(PICTURE, card_picture(storage, version))
    with tempfile.TemporaryDirectory() as scratch:
        table = Path(scratch) / ATTRIBUTION
        with table.open("w", encoding="utf-8", newline="") as stream:
            stream.writelines(attribution(standing(catalog, version)))
        storage.put_file(ATTRIBUTION, table)
    licences = catalog.counts("licence", OK)
    settings, faults = catalog.facts(version.number).settings, fault_counts(catalog, OK)
    storage.write(CARD, card(version, catalog.counts("outcome"), licences, settings, faults).encode())


def standing(catalog: Catalog, version: Version) -> Iterator[pyarrow.Table]:
    """The rows of a version's objects, in order of uid."""
    some, before = list[str](), 0
    for shard in version.shards:
        some += [entry.uid for entry in shard.samples[-before % SAMPLED :: SAMPLED]]
        before += len(shard.samples)
    bounds = sorted(some)[:: SORTED_AT_ONCE // SAMPLED]
    for index, first in enumerate(["", *bounds[1:]]):
        below = [f"uid < {quoted([end])}" for end in bounds[index + 1 : index + 2]]
        these = " and ".join([OK, f"uid >= {quoted([first])}", *below])
        query = f"select {', '.join(COLUMNS)} from rows where {these} order by uid"  # noqa: S608
        yield from catalog.parts(OBJECTS, query, version.number)


def attribution(standing: Iterable[pyarrow.Table]) -> Iterator[str]:
    """Whose each object in a shard is, as parts of a CSV that no spreadsheet takes for formulas."""
    yield _csv([COLUMNS])
    for part in standing:
        cells = ([csv_cell(value) for value in part[column].to_pylist()] for column in COLUMNS)
        yield _csv(zip(*cells, strict=True))


def card(
    version: Version,
    outcomes: Mapping[str, int],
    licences: Mapping[str, int],
    settings: Mapping[str, Any],
    faults: Mapping[str, int] = MappingProxyType({}),
    files: Mapping[str, list[str]] | None = None,
) -> str:
    """The card as Markdown, opening with the YAML that dataset hubs read; of the counts the most frequent come first.

    `outcomes` counts all objects, `licences` those that stand in a shard; `settings` made the views. `files` are the
    paths of each split's shards in a copy of the version; None stands for the dataset itself.
    """
    objects = ", ".join(f"{version.samples(split)} in `{split}`" for split in SPLITS)
    size = bytes_text(sum(shard.bytes for shard in version.shards))
    lines = [
        f"{_opening(version)}{_front_matter(_files(version) if files is None else files)}---",
        "",
        f"# Views of {sum(licences.values())} objects",
        "",
        f"Version {version.number}: objects: {objects}. {version.views} views of each, {version.hw[0]} × "
        f"{version.hw[1]} pixels, RGBA. {len(version.shards)} shards, {size}. "
        f"Settings digest `{version.settings_digest}`.",
        "",
        f"![The first view of some of the objects]({PICTURE})",
        "",
        "Each sample of a shard is one object: `json` (facts, cameras, lights), `00.webp` and on (views), "
        "`extrinsics.npy` (`cam_from_world`, V × 3 × 4, OpenGL axes), `pairs.npz` (every ordered pair of views: "
        f"`source`, `target`, `R`, `T`, `pose`).{OTHER_FILES if files is None else ''}",
        "",
        "## How the objects ended",
        "",
        *_table(("outcome", "objects"), outcomes),
        "",
        *_faults(faults),
        "## Licences",
        "",
        f"Every object keeps its author's licence; [{ATTRIBUTION}]({ATTRIBUTION}) names author, page and licence.",
        "",
        *_table(("licence", "objects"), {name or NO_LICENCE: count for name, count in licences.items()}),
        "",
        "## Settings",
        "",
        "```yaml",
        yaml.safe_dump(dict(settings), sort_keys=True, allow_unicode=True).rstrip(),
        "```",
    ]
    return "\n".join(lines) + "\n"


def _faults(faults: Mapping[str, int]) -> list[str]:
    """The section about what is wrong with objects that are in shards; nothing when nothing is known to be."""
    if not faults:
        return []
    text = "These objects are rendered all the same; the columns of `catalog/objects` say which they are."
    return ["## Faults of the data", "", text, "", *_table(("fault", "objects"), dict(fault_lines(faults))), ""]


def _csv(lines: Iterable[Sequence[str]]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(lines)
    return stream.getvalue()


def _opening(version: Version) -> str:
    return f"---\nversion: {version.number}\n"


def _files(version: Version) -> dict[str, list[str]]:
    return {split: [shard.name for shard in version.split(split)] for split in SPLITS if version.split(split)}


def _front_matter(files: Mapping[str, list[str]]) -> str:
    data_files = [{"split": split, "path": paths} for split, paths in files.items()]
    facts = {"license": "other", "configs": [{"config_name": "default", "data_files": data_files}]}
    return str(yaml.safe_dump(facts, sort_keys=False))


def _table(header: tuple[str, str], counts: Mapping[str, int]) -> list[str]:
    rows = [f"| {markdown(replace_controls(name))} | {count} |" for name, count in counts.items()]
    return [f"| {header[0]} | {header[1]} |", "|:--|--:|", *rows]


def card_picture(storage: Storage, version: Version) -> bytes:
    """The first view of some of the objects, as PNG."""
    views = [fitted(view, PICTURED_PX) for view in islice(_first_views(storage, version), PICTURED)]
    nothing = np.full((PICTURED_PX, PICTURED_PX, 3), 255, np.uint8)
    return encoded(contact_sheet(views or [nothing], columns=6, cell_px=PICTURED_PX), "png")


def _first_views(storage: Storage, version: Version) -> Iterator[NDArray[np.uint8]]:
    """Of every object but damaged ones, which `verify` names and which hinder no version."""
    for shard in version.shards:
        for entry in shard.samples:
            with suppress(DamagedSample):
                yield over(read_sample(storage, shard, entry).image(0))
