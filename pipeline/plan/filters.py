"""Take or leave out listed objects by rules, and name the rule for each object left out."""

from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow
from pyarrow import compute

from pipeline.catalog.columns import CHUNK, Columns
from pipeline.catalog.licences import licence_key
from pipeline.catalog.objects import UNKNOWN, SourceObject
from pipeline.settings import Bounds, FilterSettings

OWN = ("folder", "renders")
"""Sources of a user's own files, taken without a stated licence by default."""


def find_refusals(items: Columns[SourceObject], settings: FilterSettings) -> dict[int, str]:
    """Return, by index, the rule against each object left out.

    Objects with equal values in all columns of interest are judged once.
    """
    said = list(_columns_read(settings))
    seen = pyarrow.table({name: items.column(name) for name in said} | {"index": np.arange(len(items))})
    # Without threads: with them the order of the groups changes from run to run.
    groups = seen.group_by(said, use_threads=False).aggregate([("index", "min"), ("index", "list")])
    firsts = items.records(groups["index_min"].to_numpy())
    found = ((index, _rule(item, settings)) for index, item in enumerate(firsts))
    refused = {
        object_index: rule for index, rule in found if rule for object_index in groups["index_list"][index].as_py()
    }
    indices = np.array(list(refused), np.int64)
    # Objects unknown to their source end as `missing`, whatever the rules say.
    for start in range(0, len(indices), CHUNK):
        part = indices[start : start + CHUNK]
        nowhere = np.asarray(compute.equal(items.align("location", part, ""), ""))
        for object_index in part[nowhere].tolist():
            del refused[object_index]
    return refused


def _columns_read(settings: FilterSettings) -> Iterator[str]:
    # These two decide in any case; columns without a rule would only split the groups.
    yield from ("source", "licence")
    yield from ("category",) if settings.categories else ()
    yield from ("title", "tags") if settings.text else ()
    yield from ("faces",) if any(settings.faces) else ()
    yield from ("vertices",) if any(settings.vertices) else ()
    yield from ("animations",) if settings.animated != "any" else ()
    yield from ("likes",) if settings.likes else ()


def refusal(item: SourceObject, settings: FilterSettings) -> str:
    """Return the first rule against `item` as a sentence; empty for an object that is taken.

    Rules do not apply to an object unknown to its source: it ends as `missing`.
    """
    return _rule(item, settings) if item.location else ""


def _rule(item: SourceObject, settings: FilterSettings) -> str:
    for sentence in (
        _licence(item, settings),
        _member("filter.categories", item.category, settings.categories),
        _text(item, settings),
        _within("filter.faces", item.faces, settings.faces),
        _within("filter.vertices", item.vertices, settings.vertices),
        _animation_rule(item, settings),
        _within("filter.likes", item.likes, (settings.likes, 0)),
    ):
        if sentence:
            return sentence
    return ""


def _licence(item: SourceObject, settings: FilterSettings) -> str:
    own = item.source in OWN and settings.unstated_licence == "own"
    # Before the list: an empty licence is in no list.
    if not item.licence and (own or settings.unstated_licence == "any"):
        return ""
    if licence_key(item.licence) in map(licence_key, settings.licences):
        return ""
    return _member("filter.licences", item.licence, settings.licences)


def _member(rule: str, value: str, allowed: tuple[str, ...]) -> str:
    if not allowed or value.casefold() in {name.casefold() for name in allowed}:
        return ""
    return f"{rule}: expected any of {', '.join(allowed)}, got {value or 'nothing'}"


def _text(item: SourceObject, settings: FilterSettings) -> str:
    said = f"{item.title} {item.tags}".casefold()
    if not settings.text or any(word.casefold() in said for word in settings.text):
        return ""
    return f"filter.text: expected any of {', '.join(settings.text)} in title or tags, got neither"


def _within(rule: str, value: int, bounds: Bounds) -> str:
    least, most = bounds
    if not (least or most) or (value != UNKNOWN and least <= value and (not most or value <= most)):
        return ""
    wanted = f"{least} to {most}" if most else f"{least} or more"
    return f"{rule}: expected {wanted}, got {value if value != UNKNOWN else 'no count'}"


def _animation_rule(item: SourceObject, settings: FilterSettings) -> str:
    if settings.animated == "any" or (
        item.animations != UNKNOWN and (settings.animated == "only") == (item.animations > 0)
    ):
        return ""
    wanted = "an animated object" if settings.animated == "only" else "an object that is not animated"
    return (
        f"filter.animated: expected {wanted}, got {item.animations if item.animations != UNKNOWN else 'no'} animations"
    )


def describe_left_out(items: Columns[SourceObject], rules: Mapping[int, str], settings: FilterSettings) -> list[str]:
    """Return lines with the number of objects left out by each rule, and the categories without objects."""
    counts = Counter(sentence.partition(":")[0] for sentence in rules.values()).most_common()
    lines = ["left out: " + ", ".join(f"{count} by {rule}" for rule, count in counts)] if counts else []
    # A misspelled category leaves out everything without an error.
    there = {str(name).casefold() for name in items.counts("category")} if settings.categories else set()
    unknown = [name for name in settings.categories if name.casefold() not in there]
    return [*lines, *([f"filter.categories: no object is of {', '.join(unknown)}"] if unknown else [])]
