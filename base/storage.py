"""Where files live between stages: a local folder or an object store, behind one small interface.

Names are relative POSIX paths (`shards/train-000000-ab12.tar`). A write is whole or not there: locally a temporary
file, fsync and rename; on an object store one put.
"""

import errno
import hashlib
import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, BinaryIO, cast

import fsspec
from pydantic import Field

from base.errors import Failure, UsageError
from base.settings import Section

TEMPORARY_PREFIX = ".tmp-"
REQUEST_TIMEOUT_S = 60.0
"""How long a store may take over one range of bytes."""
EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
"""The extra of this project that brings what a scheme needs."""
REFUSED = ("Forbidden: ", "Bad Request: ")
"""How gcsfs begins its words for answers 403 and 400, whose number it does not keep."""


class StorageSettings(Section):
    """Where a dataset lives: a local folder or an fsspec URL such as `s3://bucket/prefix` or `gs://bucket/prefix`."""

    root: Annotated[str, Field(min_length=1)]


class Unavailable(Failure):
    """A store that did not answer as it should; the same request may be answered later."""


class Missing(Failure):
    """A file that is not there."""


class Storage:
    """A tree of files under one root, local or remote; may be carried into other processes, by fork too.

    `is_local` tells of a folder, `is_web` of a web server, which need not list what it has. Every method raises
    UsageError for a name that leaves the root and Failure for a read or write that did not succeed. `setting` is where
    the root stands: a root that cannot be meant is a UsageError that names it.
    """

    def __init__(self, root: str | Path, setting: str = "storage.root") -> None:
        self.root, self.setting = str(root).rstrip("/") or "/", setting
        self._fs, base = _file_system(self.root, setting)
        self._pid = os.getpid()
        protocols = [self._fs.protocol] if isinstance(self._fs.protocol, str) else self._fs.protocol
        self.is_local, self.is_web = "file" in protocols, "https" in protocols
        self._base = str(Path(base).resolve()) if self.is_local else base

    @property
    def fs(self) -> Any:
        """The file system; a process that was forked off opens its own, for connections cannot be shared."""
        if self._pid != os.getpid():
            self._fs, self._pid = _file_system(self.root, self.setting)[0], os.getpid()
        return self._fs

    def path(self, name: str) -> str:
        """The full path of `name` for this file system."""
        inside = PurePosixPath(name)
        if not inside.parts or name.startswith("/") or ".." in inside.parts or "\\" in name or "\0" in name:
            raise UsageError(f"expected a relative name inside {self.root}, got {name!r}")
        return f"{self._base}/{inside}"

    def local_path(self, name: str) -> Path:
        """The path of `name` on this machine's disk. Raises UsageError when the storage is not local."""
        if not self.is_local:
            raise UsageError(f"expected a local folder, got {self.root}")
        return Path(self.path(name))

    def exists(self, name: str) -> bool:
        """True when a file or folder of that name is there. Raises Unavailable for a store that is away."""
        path = self.path(name)
        if self.is_local:
            with self._reported("look for", name):
                return bool(self.fs.exists(path))
        try:
            with self._reported("look for", name):
                self.fs.info(path)
        except Missing:
            return False
        return True

    def read(self, name: str) -> bytes:
        """The bytes of a file."""
        with self._reported("read", name):
            return cast(bytes, self.fs.cat_file(self.path(name)))

    def read_range(self, name: str, offset: int, length: int) -> bytes:
        """`length` bytes of a file from `offset` on, or fewer where it ends before; one request, answered in time."""
        path = self.path(name)
        exactly: dict[str, Any] = {"timeout": REQUEST_TIMEOUT_S} if self.fs.async_impl else {"cache_type": "none"}
        with self._reported("read", name):
            if self.is_local:
                with Path(path).open("rb", buffering=0) as stream:
                    return os.pread(stream.fileno(), length, offset)
            try:
                data = cast(bytes, self.fs.cat_file(path, start=offset, end=offset + length, **exactly))
            except Exception as error:
                if not _beyond_the_end(error):
                    raise
                return b""
        if len(data) > length:
            raise Failure(f"{self.root}/{name}: expected a server that gives {length} bytes of a file, got {len(data)}")
        return data

    def open(self, name: str) -> BinaryIO:
        """A seekable stream of a file's bytes, for the caller to close."""
        with self._reported("open", name):
            return cast(BinaryIO, self.fs.open(self.path(name), "rb"))

    def size(self, name: str) -> int:
        """A file's length in bytes."""
        with self._reported("measure", name):
            return int(self.fs.size(self.path(name)))

    def sha256(self, name: str) -> str:
        """Hexadecimal SHA-256 of a file's bytes, read in parts."""
        with self._reported("read", name), self.fs.open(self.path(name), "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    def write(self, name: str, data: bytes) -> None:
        """Make `name` hold `data`, replacing what it held; a reader sees the old bytes or the new, never a part."""
        target = self.path(name)
        with self._reported("write", name):
            if self.is_local:
                write_atomically(Path(target), data)
            else:
                self.fs.pipe_file(target, data)

    def create(self, name: str, data: bytes) -> bool:
        """Make `name` hold `data` unless it exists already; True when this call made it.

        Those who may create one name at once need different `data`: where the answer to a put was lost and the put
        repeated, what is there tells whose it is.
        """
        target = self.path(name)
        with self._reported("create", name):
            if self.is_local:
                return _create_exclusively(Path(target), data)
            try:
                self.fs.pipe_file(target, data, mode="create")
            except FileExistsError:
                return self._holds(target, data)
            return True

    def _holds(self, target: str, data: bytes) -> bool:
        try:
            return bool(self.fs.cat_file(target) == data)
        except FileNotFoundError:
            return False

    def put_file(self, name: str, source: Path) -> None:
        """Move or upload a finished local file to `name`; `source` may be gone afterwards."""
        target = self.path(name)
        with self._reported("write", name):
            if self.is_local:
                move_atomically(source, Path(target))
            else:
                self.fs.put_file(str(source), target)

    def names(self, folder: str) -> list[str]:
        """The sorted names of all files below `folder`, relative to the root; temporary files are left out."""
        return sorted(self._found(folder))

    def sizes(self, folder: str) -> dict[str, int]:
        """The length in bytes of each file below `folder`, by the names that `names` gives; no web server tells it."""
        return {name: int(about["size"]) for name, about in self._found(folder).items()}

    def _found(self, folder: str) -> dict[str, Any]:
        prefix = f"{self._base}/"
        self.fs.invalidate_cache()
        with self._reported("list", folder):
            told = {"on_error": "raise"} if self.is_web else {}  # else what could not be listed would be left out
            found = self.fs.find(self.path(folder), detail=True, **told) if self.exists(folder) else {}
        named = {str(path).removeprefix(prefix): about for path, about in found.items()}
        return {name: about for name, about in named.items() if not _is_temporary(name)}

    def remove(self, name: str) -> None:
        """Delete a file or a folder with all it holds; nothing happens when it is not there."""
        with self._reported("remove", name):
            if self.exists(name):
                self.fs.rm(self.path(name), recursive=True)

    def _reported(self, verb: str, name: str) -> "_Reported":
        return _Reported(f"could not {verb} {self.root}/{name}", remote=not self.is_local, web=self.is_web)


def _file_system(root: str, setting: str) -> tuple[Any, str]:
    """The file system of a folder or URL, and the path in it. Raises UsageError for one that cannot be meant."""
    scheme = root.partition("://")[0]
    if EXTRAS.get(scheme) == "gcs":
        # Else gcsfs asks by gRPC what kind each bucket is, and warns before every read when it has no credentials.
        os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
        logging.getLogger("gcsfs").setLevel(logging.CRITICAL)  # it logs a traceback of what it raises
    try:
        file_system, base = fsspec.core.url_to_fs(root)
    except ImportError as error:
        mended = f"pip install -c constraints.txt -e '.[{EXTRAS[scheme]}]'" if scheme in EXTRAS else str(error)
        raise UsageError(f"{setting}: expected the package that {scheme}:// needs, got none: {mended}") from None
    except ValueError as error:
        raise UsageError(f"{setting}: expected a folder or a URL, got {root!r}: {error}") from None
    return file_system, str(base)


class _Reported:
    """Turns an I/O error, or any error of a remote store's client, into a Failure with the file and the reason."""

    def __init__(self, sentence: str, *, remote: bool, web: bool) -> None:
        self.sentence, self.remote, self.web = sentence, remote, web

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Failure) or not isinstance(error, Exception):
            return
        if self.web:
            error = _behind(error)
        if isinstance(error, FileNotFoundError):
            raise Missing(f"{self.sentence}: {_words(error)}") from error
        if self.remote and not _final(error):
            raise Unavailable(f"{self.sentence}: {_words(error)}") from error
        if self.remote or isinstance(error, OSError):
            raise Failure(f"{self.sentence}: {_words(error)}") from error


def _words(error: Exception) -> str:
    return reason(error) if isinstance(error, OSError) else " ".join(str(error).split()) or type(error).__name__


def _final(error: Exception) -> bool:
    """True for an answer that asking again will not change."""
    if isinstance(error, PermissionError | IsADirectoryError | NotADirectoryError) or str(error).startswith(REFUSED):
        return True
    status = _http_status(error)
    return 400 <= status < 500 and status not in (408, 429)


def _behind(error: Exception) -> Exception:
    """Why fsspec's web client found no file: it says that there is none, of a server that is away too."""
    cause = error.__cause__ if isinstance(error, FileNotFoundError) else None
    return cause if isinstance(cause, Exception) and not _final(cause) else error


def _beyond_the_end(error: Exception) -> bool:
    return _http_status(error) == 416 or (isinstance(error, OSError) and error.errno == errno.EINVAL)


def _http_status(error: Exception) -> int:
    """The status of a refused HTTP request, as aiohttp, gcsfs and the hub's client tell it; 0 for other errors."""
    for one, name in ((error, "status"), (error, "code"), (getattr(error, "response", None), "status_code")):
        if isinstance(status := getattr(one, name, None), int):
            return status
    return 0


def reason(error: OSError) -> str:
    """An I/O error in words, with what mends it where that is known."""
    if error.errno == errno.ENOSPC:
        return "the disk is full; free some space and run the same command again"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{os.strerror(error.errno)}; choose a folder that you may write to"
    return error.strerror or str(error) or type(error).__name__


def _is_temporary(name: str) -> bool:
    return PurePosixPath(name).name.startswith(TEMPORARY_PREFIX)


def error_path(error: OSError) -> str:
    """The file that an I/O error is about, of a copy the one that was to be written; empty where that is not known."""
    return str(error.filename2 or error.filename or "")


def write_atomically(path: Path, data: bytes) -> None:
    """Write a local file under a temporary name in its own folder, flush it to disk, then rename it into place."""
    temporary = _write_temporary(path, data)
    temporary.replace(path)


def flush_to_disk(path: Path) -> None:
    """Flush a local file, or a folder's list of names, to the disk itself."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def move_atomically(source: Path, target: Path) -> None:
    """Rename `source` to `target`; across file systems, copy to a temporary name first."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        write_atomically(target, source.read_bytes())
        source.unlink()


def _create_exclusively(path: Path, data: bytes) -> bool:
    temporary = _write_temporary(path, data)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink()
    return True


def _write_temporary(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{path.name}-{secrets.token_hex(6)}")
    try:
        with temporary.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        with suppress(OSError):  # a file system that became read-only meanwhile
            temporary.unlink()
        error.filename = str(path)
        raise
    return temporary


def temporary_files(folder: Path) -> Iterator[Path]:
    """What interrupted writes left under a local folder."""
    return folder.rglob(f"{TEMPORARY_PREFIX}*")
