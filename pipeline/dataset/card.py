"""The dataset card for people and hubs: README.md, a picture, and the authors of all objects (ATTRIBUTION.csv).

All three follow from a version and the catalogue's rows. They are written to the root, where hubs and people look.
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
from pipeline.catalog.tables import OBJECTS, Catalog, sql_list
from report.contact_sheet import contact_sheet
from report.escape import csv_cell, markdown
from report.images import composite, encode_image, shrink
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
"""Rows sorted in memory at a time, estimated from every `SAMPLED`-th uid."""
SAMPLED_VIEWS = (
    " A model drew these views from a picture of each object, see the settings below; `input.webp` is that picture as "
    "the model saw it."
)
OTHER_FILES = " `versions/` names the shards of each version; other files in `shards/` belong to earlier ones."


def refresh_card(storage: Storage, version: Version) -> None:
    """Write the card of the newest version, unless it is up to date. Raises Failure for unreadable data."""
    # Its first lines name the version, so that a crash before this point is made up for by the next build.
    if storage.exists(CARD) and storage.read(CARD).startswith(_opening(version).encode()):
        return
    catalog = Catalog(storage)
    if version.shards:
        storage.write(PICTURE, card_picture(storage, version))
    # In a file: the authors of millions of objects may not fit in memory.
    with tempfile.TemporaryDirectory() as scratch:
        table = Path(scratch) / ATTRIBUTION
        with table.open("w", encoding="utf-8", newline="") as stream:
            stream.writelines(attribution_csv(version_rows(catalog, version)))
        storage.put_file(ATTRIBUTION, table)
    licences = catalog.counts("licence", OK)
    settings, faults = catalog.facts(version.number).settings, fault_counts(catalog, OK)
    # The card last: its version says that the other two files are of this version too.
    storage.write(CARD, card_text(version, catalog.counts("outcome"), licences, settings, faults).encode())


def version_rows(catalog: Catalog, version: Version) -> Iterator[pyarrow.Table]:
    """Yield the rows of a version's objects, sorted by uid, in parts that fit in memory."""
    # The engine sorts in memory, so the uids are cut into ranges of about equal size.
    some, before = list[str](), 0
    for shard in version.shards:
        some += [entry.uid for entry in shard.samples[-before % SAMPLED :: SAMPLED]]
        before += len(shard.samples)
    bounds = sorted(some)[:: SORTED_AT_ONCE // SAMPLED]
    for index, first in enumerate(["", *bounds[1:]]):
        below = [f"uid < {sql_list([end])}" for end in bounds[index + 1 : index + 2]]
        these = " and ".join([OK, f"uid >= {sql_list([first])}", *below])
        query = f"select {', '.join(COLUMNS)} from rows where {these} order by uid"  # noqa: S608
        # The table of this version: a build may commit the next meanwhile.
        yield from catalog.parts(OBJECTS, query, version.number)


def attribution_csv(parts: Iterable[pyarrow.Table]) -> Iterator[str]:
    """Yield parts of a CSV with author and licence of each row. Cells cannot act as spreadsheet formulas."""
    yield _csv([COLUMNS])
    for part in parts:
        cells = ([csv_cell(value) for value in part[column].to_pylist()] for column in COLUMNS)
        yield _csv(zip(*cells, strict=True))


def card_text(
    version: Version,
    outcomes: Mapping[str, int],
    licences: Mapping[str, int],
    settings: Mapping[str, Any],
    faults: Mapping[str, int] = MappingProxyType({}),
    files: Mapping[str, list[str]] | None = None,
) -> str:
    """Write the card as Markdown, with the YAML front matter of dataset hubs. Counts are sorted, largest first.

    `outcomes` counts all objects, `licences` those in shards. `settings` made the views. `files` lists the shards of
    each split in a copy of the version; None means the dataset itself.
    """
    objects = ", ".join(f"{version.samples(split)} in `{split}`" for split in SPLITS)
    size = bytes_text(sum(shard.bytes for shard in version.shards))
    # Rendered views and sampled views have the same layout, but a reader must know which they are.
    made = SAMPLED_VIEWS if settings.get("command") == "sample" else ""
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
        f"`source`, `target`, `R`, `T`, `pose`).{made}{OTHER_FILES if files is None else ''}",
        "",
        "## Outcomes",
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
    """Write the section on faults of objects in shards, or nothing without known faults."""
    if not faults:
        return []
    text = "These objects are rendered all the same. Columns of `catalog/objects` mark them."
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
    # Hugging Face has a list of known licences, and a dataset with several is `other` there.
    facts = {"license": "other", "configs": [{"config_name": "default", "data_files": data_files}]}
    return str(yaml.safe_dump(facts, sort_keys=False))


def _table(header: tuple[str, str], counts: Mapping[str, int]) -> list[str]:
    # Licences and outcomes come from strangers' files: a bar or a line break would end the table.
    rows = [f"| {markdown(replace_controls(name))} | {count} |" for name, count in counts.items()]
    return [f"| {header[0]} | {header[1]} |", "|:--|--:|", *rows]


def card_picture(storage: Storage, version: Version) -> bytes:
    """Draw the first views of some objects, as PNG."""
    views = [shrink(view, PICTURED_PX) for view in islice(_first_views(storage, version), PICTURED)]
    nothing = np.full((PICTURED_PX, PICTURED_PX, 3), 255, np.uint8)
    return encode_image(contact_sheet(views or [nothing], columns=6, cell_px=PICTURED_PX), "png")


def _first_views(storage: Storage, version: Version) -> Iterator[NDArray[np.uint8]]:
    """Yield first views. Damaged samples are skipped here, and named by `verify`."""
    for shard in version.shards:
        for entry in shard.samples:
            with suppress(DamagedSample):
                yield composite(read_sample(storage, shard, entry).image(0))
