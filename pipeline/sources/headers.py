"""Map the column names of tables to facts, in any spelling, and refuse names too close to a licence's."""

import unicodedata
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from base.errors import UsageError
from pipeline.catalog.licences import plain_text

LICENCE = "licence"
FACTS = (
    *("path", "url", "uid", "sha256", "title", "author", "page", "source", "source_repo", "category", "tags"),
    *("faces", "vertices", "animations", "likes"),
)
"""Columns read beside the licence. Other columns are ignored."""
NAMED = ("", "s", "type", "name", "id", "label", "slug", "spdx", "url", "uri", "link")
LICENCES = frozenset(
    {f"{word}{end}" for word in ("licence", "license") for end in NAMED}
    | {"spdx", "spdxid", "spdxlicense", "spdxlicence", "spdxlicenseidentifier", "cclicense", "cclicence"}
)
"""Names, letters and digits only, of columns with the licence of each row."""
OTHER_WORDS = frozenset(
    {
        *("rights", "usagerights", "dcrights", "copyright", "terms", "termsofuse", "cc", "creativecommons"),
        *("лицензия", "许可", "许可证", "許可", "ライセンス", "라이선스"),
    }
)
"""Names of columns that may state a licence if no other column does."""
LIKENESS = 0.75
"""From this likeness to `licence` (0 to 1), a name counts as a misspelling of it."""


def facts_of_columns(names: Sequence[str], where: str) -> list[str]:
    """Return the fact of each column: `licence` possibly several times, empty for an ignored column.

    Raises UsageError, starting with `where`, for two columns of another fact, and for a name that looks like a
    licence's. Such a column must not be ignored, since its objects would count as having no licence.
    """
    facts = [_fact(_letters(name)) for name in names]
    for name in (name for name, fact in zip(names, facts, strict=True) if not fact and _is_like_licence(name)):
        _refuse(name, where)
    # With a licence column beside it, `rights` or `terms` is just a text.
    if LICENCE not in facts:
        for name in (name for name in names if _letters(name) in OTHER_WORDS):
            _refuse(name, where)
    for fact in FACTS:
        if facts.count(fact) > 1:
            same = " and ".join(repr(name) for name, its in zip(names, facts, strict=True) if its == fact)
            raise UsageError(f"{where}: expected one column `{fact}`, got {same}")
    return facts


def _refuse(name: str, where: str) -> None:
    raise UsageError(
        f"{where}: expected the licence in a column named `licence`, got one named {name[:80]!r}; "
        "rename it, to `licence` if it states the licence of each row"
    )


def _letters(name: str) -> str:
    # `License_Type`, `license type` and `licenseType` are the same column.
    return "".join(char for char in plain_text(name) if char.isalnum())


def _fact(letters: str) -> str:
    if letters in LICENCES:
        return LICENCE
    return next((fact for fact in FACTS if fact.replace("_", "") == letters), "")


def _is_like_licence(name: str) -> bool:
    return any(
        word in letters or SequenceMatcher(None, letters, word, autojunk=False).ratio() >= LIKENESS
        for letters in _spellings(name)
        for word in ("licence", "license", "licen", "lizen")
    )


def _spellings(name: str) -> Iterator[str]:
    """Yield the whole name and each word of it, without accents, and with digits that look like letters as letters."""
    bare = "".join(char for char in unicodedata.normalize("NFD", plain_text(name)) if not unicodedata.combining(char))
    bare = bare.translate(str.maketrans("103|", "loel"))
    yield "".join(char for char in bare if char.isalnum())
    yield from "".join(char if char.isalnum() else " " for char in bare).split()
