"""How an object can end: a closed set, so that every object ever asked for has one plain answer."""

from enum import StrEnum


class Outcome(StrEnum):
    """The end of one object in one build; `PENDING` is the only one that is not an end."""

    OK = "ok"
    PENDING = "pending"
    MISSING = "missing"
    FORBIDDEN = "forbidden"
    THROTTLED = "throttled"
    TOO_LARGE = "too_large"
    CORRUPT = "corrupt"
    MODIFIED = "modified"
    DUPLICATE = "duplicate"
    FILTERED = "filtered"
    UNSUPPORTED = "unsupported"
    MISSING_PICTURES = "missing_pictures"
    EMPTY = "empty"
    BLANK = "blank"
    IMPORT_ERROR = "import_error"
    RENDER_ERROR = "render_error"
    TIMEOUT = "timeout"
    CRASH = "crash"
    OUT_OF_MEMORY = "out_of_memory"
    LOST = "lost"
    REMOVED = "removed"

    @property
    def ended(self) -> bool:
        """True for every outcome but `PENDING`."""
        return self is not Outcome.PENDING


CHILD_DEATHS = frozenset({Outcome.TIMEOUT, Outcome.CRASH, Outcome.OUT_OF_MEMORY})
"""The outcomes that count against an object: its Blender process died or had to be killed."""
