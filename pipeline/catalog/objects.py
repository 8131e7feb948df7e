"""The facts of an object before it is rendered."""

import hashlib
import re
from dataclasses import dataclass, field

from base.digest import digest_json

SLUG_LENGTH = 40
UID_DIGITS, SHORT_DIGITS = 16, 8
"""The digits of the digest in a uid, and in a uid of earlier releases. With 8 digits, 74 collisions are expected among
800,000 objects."""
UNKNOWN, GREATEST = -1, 2**63 - 1
"""An unknown count, and the greatest count that the catalogue can hold."""
COUNT = re.compile(r"0*([0-9]{1,19})(\.0+)?")


@dataclass(frozen=True, kw_only=True)
class SourceFacts:
    """The facts that a source states. `location` is a path or URL. Unknown texts are empty, unknown counts UNKNOWN."""

    source: str
    location: str
    licence: str = ""
    author: str = ""
    title: str = ""
    page: str = ""
    category: str = ""
    tags: str = ""
    faces: int = UNKNOWN
    vertices: int = UNKNOWN
    animations: int = UNKNOWN
    likes: int = UNKNOWN


@dataclass(frozen=True, kw_only=True)
class SourceObject(SourceFacts):
    """A requested object.

    Before the fetch, `sha256` is known for local files only. `address` is the whole URL if `location` leaves out
    credentials. It is used for requests, and never recorded or shown. `about` is JSON that the stage needs beside the
    file; `sha256` covers it too.
    """

    uid: str
    sha256: str = ""
    address: str = field(default="", repr=False)
    about: str = ""

    def facts(self, sha256: str) -> dict[str, str]:
        """Return the facts in a sample: the same keys for every object of every source, without paths."""
        return {
            "uid": self.uid,
            "source": self.source,
            "sha256": sha256,
            "licence": self.licence,
            "author": self.author,
            "title": self.title,
            "page": self.page,
            "category": self.category,
        }

    def facts_digest(self, sha256: str) -> str:
        """Return 16 digits that change with any of the facts."""
        # Stored in the row, so that a change of facts is found without reading the sample.
        return digest_json(self.facts(sha256))


def count_of(value: object) -> int:
    """Return the whole number that `value` spells (`3.0` too), from 0 to GREATEST; UNKNOWN for anything else."""
    spelled = COUNT.fullmatch(str(value).strip())
    # Only digits: `int` would also take signs, underscores and digits of other scripts.
    count = int(spelled[1]) if spelled else UNKNOWN
    return count if count <= GREATEST else UNKNOWN


def uid_of(name: str, identity: str) -> str:
    """Return a uid: a readable `name` and UID_DIGITS of the digest of `identity`, a relative path or URL."""
    # With its digits a uid stays below the 64 characters allowed.
    slug = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")[:SLUG_LENGTH] or "object"
    return f"{slug}_{identity_digits(identity)}"


def identity_digits(identity: str) -> str:
    """Return the digits of `identity` at the end of its uid. Raises UnicodeEncodeError for lone surrogates."""
    return hashlib.sha256(identity.encode()).hexdigest()[:UID_DIGITS]


def short_uid(uid: str) -> str:
    """Return the uid of the same object in earlier releases."""
    return uid[: SHORT_DIGITS - UID_DIGITS]


def uid_order(uid: str) -> tuple[str, str]:
    """Return the sort key of new objects: the uid's digest, beyond any source's control."""
    return hashlib.sha256(uid.encode()).hexdigest(), uid
