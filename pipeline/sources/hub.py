"""Where Hugging Face's hub is, who asks there, and what its files are called. HF_ENDPOINT and HF_TOKEN are obeyed."""

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
    """The hub's address: HF_ENDPOINT, else the public one. Raises UsageError for one with user information."""
    address = os.environ.get("HF_ENDPOINT", "").strip().rstrip("/") or PUBLIC_HUB
    if has_user(address):
        got = public_address(address)
        raise UsageError(f"HF_ENDPOINT: expected an address without a user's name or password, got one for {got}")
    return address


def token() -> str:
    """The hub's token from HF_TOKEN, empty without one; never stored or logged. Raises UsageError for no token."""
    value = os.environ.get("HF_TOKEN", "").strip()
    if not PRINTABLE.fullmatch(value):
        raise UsageError("HF_TOKEN: expected a token of printable characters without blanks, got another text")
    return value


def file_url(repository: str, revision: str, path: str, hub: str | None = None) -> str:
    """The address of a file of a repository at a revision (a branch, a tag, or a commit) on a hub, by default ours."""
    hub = endpoint() if hub is None else hub
    return f"{hub}/{repository}/resolve/{quote(revision, safe='')}/{path}"


def address_on(hub: str, location: str) -> str:
    """The address on `hub` of a file whose location names the public hub."""
    return hub + location.removeprefix(PUBLIC_HUB) if location.startswith(f"{PUBLIC_HUB}/") else location


def find_downloaded(location: str, revision: str, folder: str) -> Path | None:
    """Where the `objaverse` package would have put the file of a location; None when it has not, or of another one.

    The package names no revision: what it has counts as `main`.
    """
    name = location.removeprefix(file_url(OBJAVERSE, revision, "", PUBLIC_HUB))
    if not folder or revision != "main" or name == location or ".." in name.split("/"):
        return None
    path = Path(folder).expanduser() / name
    return path if path.is_file() else None
