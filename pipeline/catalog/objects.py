"""What is known of an object before it is rendered."""

import hashlib
import re
from dataclasses import dataclass, field

from base.digest import digest_json

SLUG_LENGTH = 40
UID_DIGITS, SHORT_DIGITS = 16, 8
"""Of the digest in a uid, and in one of earlier releases: of 800,000 objects, 74 were to share their 8 digits."""
UNKNOWN, GREATEST = -1, 2**63 - 1
"""Of counts: what stands for one that is not known, and the greatest that a column of the catalogue holds."""
COUNT = re.compile(r"0*([0-9]{1,19})(\.0+)?")


@dataclass(frozen=True, slots=True)
class SourceObject:
    """One object that was asked for. `location` is a path or URL; a text that is not known is empty, a count UNKNOWN.

    `sha256` of the file's bytes is known before fetching for local files only. `address` is the whole URL where
    `location` leaves out what lets its holder in: it is asked for, and neither recorded nor told.
    """

    uid: str
    source: str
    location: str
    sha256: str = ""
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
    address: str = field(default="", repr=False)

    def facts(self, sha256: str) -> dict[str, str]:
        """What a sample says of its object: the same keys for every object of every source, none of them a path."""
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
        """16 digits that change with any of the facts."""
        return digest_json(self.facts(sha256))


def count_of(value: object) -> int:
    """The whole number that `value` is or spells, `3.0` too, from 0 to GREATEST; UNKNOWN for anything else."""
    spelled = COUNT.fullmatch(str(value).strip())
    count = int(spelled[1]) if spelled else UNKNOWN
    return count if count <= GREATEST else UNKNOWN


def uid_of(name: str, identity: str) -> str:
    """A uid of a readable `name` and UID_DIGITS of the digest of `identity`, a relative path or URL."""
    slug = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")[:SLUG_LENGTH] or "object"
    return f"{slug}_{identity_digits(identity)}"


def identity_digits(identity: str) -> str:
    """The digits of `identity` that end its uid. Raises UnicodeEncodeError for a text that is not Unicode."""
    return hashlib.sha256(identity.encode()).hexdigest()[:UID_DIGITS]


def short_uid(uid: str) -> str:
    """The uid that earlier releases gave to the object for which `uid_of` gives this one."""
    return uid[: SHORT_DIGITS - UID_DIGITS]


def uid_order(uid: str) -> tuple[str, str]:
    """The key by which new objects are ordered: the uid's digest, which no source can steer."""
    return hashlib.sha256(uid.encode()).hexdigest(), uid
