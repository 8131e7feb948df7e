"""Bring licences to a single spelling: a filter for `CC-BY-4.0` also admits `CC BY 4.0`, and nothing more.

A text is understood only if every word of it is: `CC BY (no commercial use)` stays as it is, and no filter admits it.
"""

import re
import unicodedata
from collections.abc import Collection
from functools import lru_cache

ELEMENTS = {"attribution": "by", "noncommercial": "nc", "noderivatives": "nd", "noderivs": "nd", "sharealike": "sa"}
"""Creative Commons words for the elements of its licences."""
ORDER = ("by", "nc", "nd", "sa")
SILENT = frozenset({"creative", "commons", "cc", "the", "license", "licence", "international", "unported", "generic"})
"""Words of a Creative Commons name without effect. `sampling`, a country and `not` are not among them."""
URL = re.compile(
    r"(?:https?://)?(?:www\.)?creativecommons\.org/"
    r"(?:licenses/([a-z-]+)|publicdomain/(zero))/([0-9.]+)/?(?:(?:deed|legalcode)(?:\.[a-z_-]+)?)?"
)
JOINED = re.compile(r"\b(non|no)[ -](commercial|derivatives|derivs)\b|\b(share)[ -](alike)\b")
VERSION = re.compile(r"[1-4]\.[0-9]")
OTHERS = {
    "mit": ("mit", "mit license", "mit licence", "the mit license", "the mit licence"),
    "apache-2.0": ("apache 2.0", "apache license 2.0", "apache license, version 2.0", "apache-2.0"),
    "cc0": ("cc0", "cc zero", "cc0 public domain", "cc0 1.0", "cc0-1.0", "cc0 1.0 universal", "creative commons zero"),
}
OTHER = {spelling: name for name, spellings in OTHERS.items() for spelling in spellings}


def plain_text(text: str) -> str:
    """Return `text` in compatibility form and lower case, without invisible characters and doubled blanks."""
    # Copied web text has full-width letters, no-break blanks and zero-width characters.
    visible = (char for char in unicodedata.normalize("NFKC", text) if unicodedata.category(char) != "Cf")
    return " ".join("".join(visible).casefold().split())


@lru_cache(1024)
def licence_key(text: str) -> str:
    """Return a key shared by all spellings of a licence. A text that is not understood is its own key."""
    plain = plain_text(text)
    if address := URL.fullmatch(plain):
        plain = "cc0" if address[2] else f"cc {address[1]} {address[3]}"
    return OTHER.get(plain) or _creative_commons(plain) or plain


def is_same_licence(texts: Collection[str]) -> bool:
    """True for texts of the same licence. Some of them may omit its version."""
    parts = [licence_key(text).rpartition("-") for text in texts]
    # What rpartition split off is a version only sometimes: `cc-by-nc` has no version.
    names = {name if VERSION.fullmatch(end) else f"{name}-{end}".lstrip("-") for name, _, end in parts}
    return len(names) <= 1 and len({end for _, _, end in parts if VERSION.fullmatch(end)}) <= 1


def _creative_commons(plain: str) -> str:
    """Return the key of a Creative Commons licence with an attribution element; empty for any other text."""
    words = re.split(r"[\s_/–—-]+", JOINED.sub(lambda found: "".join(filter(None, found.groups())), plain).strip())
    elements, versions = set[str](), list[str]()
    for word in words:
        element = ELEMENTS.get(word, word)
        if element in ORDER:
            elements.add(element)
        elif VERSION.fullmatch(word):
            versions.append(word)
        elif word not in SILENT:
            return ""
    # Two versions in a text could be two licences.
    if "by" not in elements or len(versions) > 1:
        return ""
    # In a fixed order: `CC-NC-BY` and `CC BY-NC` are the same licence.
    return "-".join(["cc", *(name for name in ORDER if name in elements), *versions])
