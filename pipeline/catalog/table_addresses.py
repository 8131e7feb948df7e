"""The addresses of a dataset's tables. Their engine reads some characters as parts of a URL."""

import re
from urllib.parse import quote

from base.errors import UsageError
from base.storage import Storage

ANYWHERE = re.compile(r"[#?\x00-\x1f\x7f]|%[0-9A-Fa-f]{2}")
"""Characters read by the engine as a fragment, a query or an escape, in any address."""
LOCAL, REMOTE = re.compile(r"[\[\]|^\\]"), re.compile(r":")
"""Characters that it cannot open: in a local path, and in the path of a store."""


def check_root(storage: Storage) -> None:
    """Raise UsageError for a root where tables could be written but not found again."""
    # As fsspec resolved it: a relative root may lie below a folder with such a name.
    path = storage.path("catalog").rpartition("/")[0]
    if found := ANYWHERE.search(path) or (LOCAL if storage.is_local else REMOTE).search(path):
        kind = "folder" if storage.is_local else "prefix"
        raise UsageError(
            f"{storage.setting}: expected a {kind} without {found[0]!r} in its path, got {storage.root!r}: "
            "the tables of a dataset cannot be found there; choose another name"
        )


def table_address(storage: Storage, name: str) -> str:
    """Return the address of a table: a local path, or a remote URL with its path quoted."""
    if storage.is_local:
        return str(storage.local_path(name))
    scheme, _, path = storage.root.partition("://")
    return f"{scheme}://{quote(path)}/{name}"
