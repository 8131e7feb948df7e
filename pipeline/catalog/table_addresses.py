"""Where the tables of a dataset are, as an address for their engine, which reads some characters as part of a URL."""

import re
from urllib.parse import quote

from base.errors import UsageError
from base.storage import Storage

ANYWHERE = re.compile(r"[#?\x00-\x1f\x7f]|%[0-9A-Fa-f]{2}")
"""What the engine takes for a fragment, a query or a quoted character, whatever the address says."""
LOCAL, REMOTE = re.compile(r"[\[\]|^\\]"), re.compile(r":")
"""What it cannot open in a local path, and what it cannot in the path of a store."""


def check_root(storage: Storage) -> None:
    """Raise UsageError for a root whose tables could be written but not read, or not at the place that is meant."""
    path = storage.path("catalog").rpartition("/")[0]
    if found := ANYWHERE.search(path) or (LOCAL if storage.is_local else REMOTE).search(path):
        kind = "folder" if storage.is_local else "prefix"
        raise UsageError(
            f"{storage.setting}: expected a {kind} without {found[0]!r} in its path, got {storage.root!r}: "
            "the tables of a dataset cannot be found there; choose another name"
        )


def table_address(storage: Storage, name: str) -> str:
    """The address of a table: a local path as it is, or the URL of a remote one with its path quoted."""
    if storage.is_local:
        return str(storage.local_path(name))
    scheme, _, path = storage.root.partition("://")
    return f"{scheme}://{quote(path)}/{name}"
