"""How an object can end. The set is closed, so every requested object has exactly one outcome."""

from enum import StrEnum


class Outcome(StrEnum):
    """The end of an object in a build. Only `PENDING` means that it has not ended yet."""

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
        """Whether the object has ended: true for every outcome except `PENDING`."""
        return self is not Outcome.PENDING


CHILD_DEATHS = frozenset({Outcome.TIMEOUT, Outcome.CRASH, Outcome.OUT_OF_MEMORY})
"""Outcomes that count against an object, because its Blender process died or was killed."""
