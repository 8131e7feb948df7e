"""The address, token and file names of the Hugging Face hub, from HF_ENDPOINT and HF_TOKEN."""

import os
import re
from pathlib import Path
from urllib.parse import quote

from base.errors import UsageError
from pipeline.catalog.locations import OBJAVERSE, PUBLIC_HUB
from pipeline.fetch.addresses import has_user, public_address

OBJAVERSE_XL = "datasets/allenai/objaverse-xl"
PRINTABLE = re.compile(r"[!-~]*")


def endpoint() -> str:
    """Return the hub's address: HF_ENDPOINT, or the public hub. Raises UsageError for user information in it."""
    address = os.environ.get("HF_ENDPOINT", "").strip().rstrip("/") or PUBLIC_HUB
    if has_user(address):
        got = public_address(address)
        raise UsageError(f"HF_ENDPOINT: expected an address without a user's name or password, got one for {got}")
    return address


def token() -> str:
    """Return the hub's token from HF_TOKEN, or empty; it is never stored or logged. Raises UsageError for a malformed
    token."""
    value = os.environ.get("HF_TOKEN", "").strip()
    if not PRINTABLE.fullmatch(value):
        raise UsageError("HF_TOKEN: expected a token of printable characters without blanks, got another text")
    return value


def file_url(repository: str, revision: str, path: str, hub: str | None = None) -> str:
    """Return the address of a file at a revision (branch, tag or commit) of a repository on a hub, by default
    `endpoint()`."""
    hub = endpoint() if hub is None else hub
    # Branches may have slashes in their names.
    return f"{hub}/{repository}/resolve/{quote(revision, safe='')}/{path}"


def address_on(hub: str, location: str) -> str:
    """Return the address on `hub` of a file with a location on the public hub."""
    return hub + location.removeprefix(PUBLIC_HUB) if location.startswith(f"{PUBLIC_HUB}/") else location


def find_downloaded(location: str, revision: str, folder: str) -> Path | None:
    """Return the file of a location in the `objaverse` package's folder, if it is there.

    The package has no revisions: its files count as `main`.
    """
    name = location.removeprefix(file_url(OBJAVERSE, revision, "", PUBLIC_HUB))
    # Paths come from a downloaded index and must not leave the folder.
    if not folder or revision != "main" or name == location or ".." in name.split("/"):
        return None
    path = Path(folder).expanduser() / name
    return path if path.is_file() else None
