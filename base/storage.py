"""Files between stages, in a local folder or an object store, behind one small interface.

Names are relative POSIX paths (`shards/train-000000-ab12.tar`). Writes are atomic: locally a temporary file, fsync and
rename; on an object store a single put.
"""

import errno
import hashlib
import logging
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, BinaryIO, cast

from pydantic import Field

from base.errors import Failure, UsageError
from base.settings import Section

TEMPORARY_PREFIX = ".tmp-"
REQUEST_TIMEOUT_S = 60.0
"""The longest time to wait for a range of bytes."""
EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
"""The extra of this project with the packages for a scheme."""
PATTERN = re.compile(r"[*?\[]")
"""Characters that fsspec reads as a pattern."""
REFUSED = ("Forbidden: ", "Bad Request: ")
"""How gcsfs begins its messages for status 403 and 400; it does not keep the number."""


class StorageSettings(Section):
    """Where a dataset lives: a local folder or an fsspec URL such as `s3://bucket/prefix` or `gs://bucket/prefix`."""

    root: Annotated[str, Field(min_length=1)]


class Unavailable(Failure):
    """A store did not answer as it should. The same request may succeed later."""


class Missing(Failure):
    """A file does not exist."""


class Storage:
    """A tree of files below a root, local or remote. It can be passed to other processes, also by fork.

    `is_local` is true for a folder. `is_web` is true for a web server, which may be unable to list its files. Every
    method raises UsageError for a name outside the root, and Failure for a failed read or write. An invalid root is a
    UsageError that names `setting`, the setting with the root.
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
        """The file system. A forked process opens its own, because connections cannot be shared."""
        # Checked at each use, because nothing tells a library about a fork.
        if self._pid != os.getpid():
            self._fs, self._pid = _file_system(self.root, self.setting)[0], os.getpid()
        return self._fs

    def path(self, name: str) -> str:
        """Return the full path of `name` for this file system."""
        inside = PurePosixPath(name)
        if not inside.parts or name.startswith("/") or ".." in inside.parts or "\\" in name or "\0" in name:
            raise UsageError(f"expected a relative name inside {self.root}, got {name!r}")
        return f"{self._base}/{inside}"

    def local_path(self, name: str) -> Path:
        """Return the path of `name` on this machine's disk. Raises UsageError if the storage is not local."""
        if not self.is_local:
            raise UsageError(f"expected a local folder, got {self.root}")
        return Path(self.path(name))

    def exists(self, name: str) -> bool:
        """Whether a file or folder exists. Raises Unavailable if the store does not answer."""
        path = self.path(name)
        if self.is_local:
            with self._reporting("look for", name):
                return bool(self.fs.exists(path))
        try:
            with self._reporting("look for", name):
                # Not `exists`: for some stores it turns every error into False.
                self.fs.info(path)
        except Missing:
            return False
        return True

    def read(self, name: str) -> bytes:
        """Read a file."""
        with self._reporting("read", name):
            return cast(bytes, self.fs.cat_file(self.path(name)))

    def read_range(self, name: str, offset: int, length: int) -> bytes:
        """Read `length` bytes of a file from `offset` on, or fewer at its end, by a single request with a timeout."""
        path = self.path(name)
        exactly: dict[str, Any] = {"timeout": REQUEST_TIMEOUT_S} if self.fs.async_impl else {"cache_type": "none"}
        with self._reporting("read", name):
            # Without fsspec, which opens, seeks and buffers.
            if self.is_local:
                with Path(path).open("rb", buffering=0) as stream:
                    return os.pread(stream.fileno(), length, offset)
            try:
                data = cast(bytes, self.fs.cat_file(path, start=offset, end=offset + length, **exactly))
            except Exception as error:
                # A range beyond the end has no bytes; some stores call that an error.
                if not _is_beyond_end(error):
                    raise
                return b""
        if len(data) > length:
            raise Failure(f"{self.root}/{name}: expected a server that gives {length} bytes of a file, got {len(data)}")
        return data

    def open(self, name: str) -> BinaryIO:
        """Open a file as a seekable stream. The caller closes it."""
        with self._reporting("open", name):
            return cast(BinaryIO, self.fs.open(self.path(name), "rb"))

    def size(self, name: str) -> int:
        """Return the length of a file in bytes."""
        with self._reporting("measure", name):
            return int(self.fs.size(self.path(name)))

    def sha256(self, name: str) -> str:
        """Compute the hexadecimal SHA-256 of a file, read in parts."""
        with self._reporting("read", name), self.fs.open(self.path(name), "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    def write(self, name: str, data: bytes) -> None:
        """Write `data` to `name`, replacing an existing file. Readers see the old bytes or the new, never a mixture."""
        target = self.path(name)
        with self._reporting("write", name):
            if self.is_local:
                write_atomically(Path(target), data)
            else:
                self.fs.pipe_file(target, data)

    def create(self, name: str, data: bytes) -> bool:
        """Write `data` to `name` unless it exists. Return whether this call created it.

        Processes that may create the same name at once need different `data`: if the answer to a put is lost and the
        put is repeated, the stored bytes show which process created the file.
        """
        target = self.path(name)
        with self._reporting("create", name):
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
        """Move or upload a finished local file to `name`. `source` may not exist afterwards."""
        target = self.path(name)
        with self._reporting("write", name):
            if self.is_local:
                move_atomically(source, Path(target))
            else:
                self.fs.put_file(str(source), target)

    def names(self, folder: str) -> list[str]:
        """List all files below `folder`, sorted, relative to the root, without temporary files."""
        return sorted(self._find_files(folder))

    def sizes(self, folder: str) -> dict[str, int]:
        """Map the files below `folder`, as listed by `names`, to their lengths in bytes. Not for web servers."""
        return {name: int(about["size"]) for name, about in self._find_files(folder).items()}

    def _find_files(self, folder: str) -> dict[str, Any]:
        prefix = f"{self._base}/"
        # fsspec remembers listings, and other processes write to the same folder.
        self.fs.invalidate_cache()
        with self._reporting("list", folder):
            strict = {"on_error": "raise"} if self.is_web else {}  # the default would skip an unlisted folder silently
            found = self.fs.find(self.path(folder), detail=True, **strict) if self.exists(folder) else {}
        named = {str(path).removeprefix(prefix): about for path, about in found.items()}
        return {name: about for name, about in named.items() if not _is_temporary(name)}

    def remove(self, name: str) -> None:
        """Delete a file, or a folder with its contents. Does nothing if it does not exist."""
        with self._reporting("remove", name):
            if not self.exists(name):
                return
            path = self.path(name)
            if self.is_local or not PATTERN.search(path):
                self.fs.rm(path, recursive=True)
                return
            # `rm` reads the path as a pattern, which may match the files of another dataset.
            for file in self.fs.find(path):
                self.fs.rm_file(file)

    def _reporting(self, verb: str, name: str) -> "_ErrorReport":
        return _ErrorReport(f"could not {verb} {self.root}/{name}", remote=not self.is_local, web=self.is_web)


def _file_system(root: str, setting: str) -> tuple[Any, str]:
    """Open the file system of a folder or URL; return it with the path in it. Raises UsageError for an invalid root."""
    # Here, because most programs only write local files, and loading it is a tenth of their start.
    import fsspec
    from fsspec.implementations.local import LocalFileSystem

    scheme = root.partition("://")[0]
    if EXTRAS.get(scheme) == "gcs":
        # By default gcsfs asks for the kind of each bucket by gRPC, and warns before every read without credentials.
        os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
        logging.getLogger("gcsfs").setLevel(logging.CRITICAL)  # it logs a traceback of each error before it raises it
    if "://" not in root:  # `url_to_fs` would read `::` in a folder's name as a chain of file systems
        local = LocalFileSystem()
        return local, local._strip_protocol(root)
    try:
        file_system, base = fsspec.core.url_to_fs(root)
    except ImportError as error:
        remedy = f"pip install -c constraints.txt -e '.[{EXTRAS[scheme]}]'" if scheme in EXTRAS else str(error)
        raise UsageError(f"{setting}: expected the package that {scheme}:// needs, got nothing: {remedy}") from None
    except ValueError as error:
        raise UsageError(f"{setting}: expected a folder or a URL, got {root!r}: {error}") from None
    return file_system, str(base)


class _ErrorReport:
    """Turns an I/O error, or any error of a remote store's client, into a Failure with the file and the reason."""

    def __init__(self, sentence: str, *, remote: bool, web: bool) -> None:
        self.sentence, self.remote, self.web = sentence, remote, web

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Failure) or not isinstance(error, Exception):
            return
        if self.web:
            error = _real_cause(error)
        if isinstance(error, FileNotFoundError):
            raise Missing(f"{self.sentence}: {_message(error)}") from error
        if self.remote and not _is_final(error):
            raise Unavailable(f"{self.sentence}: {_message(error)}") from error
        if self.remote or isinstance(error, OSError):
            raise Failure(f"{self.sentence}: {_message(error)}") from error


def _message(error: Exception) -> str:
    return reason(error) if isinstance(error, OSError) else " ".join(str(error).split()) or type(error).__name__


def _is_final(error: Exception) -> bool:
    """Whether repeating the request cannot help."""
    if isinstance(error, PermissionError | IsADirectoryError | NotADirectoryError) or str(error).startswith(REFUSED):
        return True
    status = _http_status(error)
    return 400 <= status < 500 and status not in (408, 429)


def _real_cause(error: Exception) -> Exception:
    """Find the cause of a missing file: fsspec's web client also reports an unavailable server as a missing file."""
    cause = error.__cause__ if isinstance(error, FileNotFoundError) else None
    return cause if isinstance(cause, Exception) and not _is_final(cause) else error


def _is_beyond_end(error: Exception) -> bool:
    return _http_status(error) == 416 or (isinstance(error, OSError) and error.errno == errno.EINVAL)


def _http_status(error: Exception) -> int:
    """Return the HTTP status in an error of aiohttp, gcsfs or the hub's client; 0 for other errors."""
    for holder, name in ((error, "status"), (error, "code"), (getattr(error, "response", None), "status_code")):
        if isinstance(status := getattr(holder, name, None), int):
            return status
    return 0


def reason(error: OSError) -> str:
    """Describe an I/O error in words, with a remedy if there is a known remedy."""
    if error.errno == errno.ENOSPC:
        return "the disk is full; free some space and run the same command again"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{os.strerror(error.errno)}; choose a folder that you may write to"
    return error.strerror or str(error) or type(error).__name__


def _is_temporary(name: str) -> bool:
    return PurePosixPath(name).name.startswith(TEMPORARY_PREFIX)


def error_path(error: OSError) -> str:
    """Return the path in an I/O error (the destination of a copy), or an empty string if there is none."""
    return str(error.filename2 or error.filename or "")


def write_atomically(path: Path, data: bytes) -> None:
    """Write a local file under a temporary name in its own folder, flush it to disk, and rename it."""
    temporary = _write_temporary(path, data)
    temporary.replace(path)


def flush_to_disk(path: Path) -> None:
    """Flush a local file, or a folder's directory entries, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def move_atomically(source: Path, target: Path) -> None:
    """Rename `source` to `target`. Across file systems, copy it to a temporary name first."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        source.replace(target)
    except OSError as error:
        # Only the error of two file systems is worked around.
        if error.errno != errno.EXDEV:
            raise
        write_atomically(target, source.read_bytes())
        source.unlink()


def _create_exclusively(path: Path, data: bytes) -> bool:
    temporary = _write_temporary(path, data)
    try:
        # A link fails if the name exists, unlike a rename; so a single process creates it, with the whole content.
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
        with suppress(OSError):  # the file system may have become read-only
            temporary.unlink()
        # The temporary name would mean nothing to the user.
        error.filename = str(path)
        raise
    return temporary


def temporary_files(folder: Path) -> Iterator[Path]:
    """List the files that interrupted writes left below a local folder."""
    return folder.rglob(f"{TEMPORARY_PREFIX}*")
