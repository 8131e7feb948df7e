"""Weights of segmentation networks, fetched once when they are first needed and checked by their SHA-256."""

import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import BinaryIO

from base.digest import sha256_file
from base.errors import Failure
from base.progress import standard_progress
from base.storage import move_atomically, reason
from photo.networks import Network

TIMEOUT_S = 30.0
CHUNK = 1 << 20


def weights_file(network: Network, folder: Path, most_megabytes: int) -> Path:
    """Return the file of a network's weights in `folder`, fetched if missing. An interrupted download is resumed.
    Raises Failure without a network, for a file larger than `most_megabytes` or with another digest, and for a
    read-only folder.
    """
    path = folder / network.file
    if path.is_file():
        return path
    if network.megabytes > most_megabytes:
        raise Failure(f"{network.url}: expected weights of at most {most_megabytes} MB, got {network.megabytes} MB")
    part = path.with_name(f"{path.name}.part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _fetch(network, part, most_megabytes * 1_000_000)
    except OSError as error:  # urllib's errors are kinds of it
        raise Failure(_sentence(network, path, error)) from None
    # Before the final name, so that a file of that name is always right.
    if sha256_file(part) != network.sha256:
        got = sha256_file(part)
        part.unlink()
        raise Failure(f"{network.url}: expected a file with SHA-256 {network.sha256}, got {got}")
    move_atomically(part, path)
    return path


def _fetch(network: Network, part: Path, most: int) -> None:
    done = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(network.url, headers={"Range": f"bytes={done}-"} if done else {})  # noqa: S310 - https
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            # Servers may ignore the range and send the whole file.
            done = done if answer.status == 206 else 0
            total = done + int(answer.headers.get("Content-Length") or 0)
            with part.open("ab" if done else "wb") as file:
                _copy(network, answer, file, (done, total, most))
    except urllib.error.HTTPError as error:
        if error.code != 416:  # nothing is left to fetch
            raise


def _copy(network: Network, answer: BinaryIO, file: BinaryIO, sizes: tuple[int, int, int]) -> None:
    done, total, most = sizes
    sys.stderr.write(f"fetching {network.url}, {network.megabytes} MB, {network.licence}\n")
    with standard_progress().task("fetch", total=max(total, 1), unit="bytes", done=done) as task:
        while chunk := answer.read(CHUNK):
            done += len(chunk)
            if done > most:
                raise OSError(f"more than {most // 1_000_000} MB")
            file.write(chunk)
            task.advance(len(chunk))


def _sentence(network: Network, path: Path, error: OSError) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    words = reason(cause) if isinstance(cause, OSError) and cause.strerror else str(cause)
    return f"{network.url}: expected the weights, got: {words}; fetch the file yourself and put it at {path}"
