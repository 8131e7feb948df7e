"""Start a local Ray, ended with this process, or join a cluster."""

import logging
import math
import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from base.errors import Failure
from base.interrupts import delay_signals
from base.scratch import create_owned_folder, remove_abandoned
from pipeline.settings import RunSettings

CONNECT_S = 10.0
FOLDER_PREFIX = "z123-"
SOCKET_PATH_LIMIT = 40
"""Ray appends about 60 characters to its folder, and the path of a socket may have 107."""
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_USAGE_STATS_REPORT_URL": "http://127.0.0.1:9/",
    "RAY_SCHEDULER_EVENTS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
ALONE = {"RAY_AUTH_MODE": "token", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""A local Ray requires a token. It listens on loopback only, as Ray does on systems without other nodes."""

SILENT: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False, "namespace": "zero123"}


def cluster_address(run: RunSettings) -> str:
    """Return the address of the cluster to join, or an empty string for a local Ray."""
    return run.address or os.environ.get("RAY_ADDRESS", "")


@contextmanager
def ray_for(run: RunSettings) -> Iterator[bool]:
    """Use the Ray joined by this process, else the cluster at `run.address`, else a new local Ray.

    Yields True for a new local Ray, whose size is fixed; it ends with the context. Raises Failure when there is no
    cluster at the address.
    """
    address = cluster_address(run)
    _prepare_environment(local=not address)
    import ray

    # A notebook or a test may have started Ray. It is theirs, so it is neither sized nor ended here.
    if ray.is_initialized():
        yield False
        return
    with ExitStack() as stack:
        folder = None if address else stack.enter_context(ray_folder())
        # Before the start: a start stopped halfway leaves processes too.
        stack.callback(_shut_down)
        if folder is None:
            _join(address)
        else:
            _start_local(run, folder)
        yield folder is not None


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """Hold back stop signals while Ray starts or ends: a half-started Ray can crash this process.

    Ray must not install its own SIGTERM handler meanwhile. Ray starts in this thread, so its processes end with it.
    """
    from ray._private import utils

    take, utils.set_sigterm_handler = utils.set_sigterm_handler, lambda _handler: None
    try:
        with delay_signals():
            yield
    finally:
        utils.set_sigterm_handler = take


def _shut_down() -> None:
    import ray

    with _signals_held_back():
        ray.shutdown()


def _prepare_environment(*, local: bool) -> None:
    """Set what Ray reads at its import: no usage reports; for a local Ray also a token and loopback only."""
    for name, value in {**QUIET, **(ALONE if local else {})}.items():
        # A user's own setting wins.
        os.environ.setdefault(name, value)


def _join(address: str) -> None:
    import ray

    host, _, port = address.rpartition(":")
    try:
        if host and port.isdecimal() and "/" not in host:
            socket.create_connection((host, int(port)), CONNECT_S).close()  # Ray would try for minutes
        with _signals_held_back():
            ray.init(address=address, **SILENT)
    except (OSError, RuntimeError, ValueError, OverflowError) as error:
        raise Failure(f"run.address: expected a Ray cluster at {address!r}, got: {_one_line(error)}") from None


def _start_local(run: RunSettings, folder: Path) -> None:
    import ray

    if os.environ.get("RAY_AUTH_MODE") == "token":
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    _reload_ray_environment()
    requested_cpus = math.ceil(run.workers * run.cpus_per_worker)
    try:
        with _signals_held_back(), _exporting("PYTHONPATH", os.pathsep.join(_import_paths())):
            ray.init(
                # Ray's CPUs are only a count. More than exist lets a user ask for more workers than cores.
                num_cpus=max(1, os.cpu_count() or 1, requested_cpus),
                # A local build needs no dashboard, and it would listen on a port.
                include_dashboard=False,
                object_store_memory=run.object_store_mb << 20,
                _temp_dir=str(folder),
                **SILENT,
            )
    except Exception as error:  # Ray raises no narrower type on a machine too busy to start it in 30 s
        message = f"expected a local Ray to start, got: {_one_line(error)}; run the same command again"
        raise Failure(message) from error


def _reload_ray_environment() -> None:
    """Make Ray read its environment again: an earlier import of Ray has read it already."""
    from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]  # Cython

    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300].rstrip(".")


@contextmanager
def _exporting(name: str, value: str) -> Iterator[None]:
    """Set an environment variable for processes started meanwhile. Ray's runtime environments are slower."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


@contextmanager
def ray_folder() -> Iterator[Path]:
    """Make a locked folder for a local Ray's files, and remove folders left by killed processes."""
    parent = Path(tempfile.gettempdir() if len(tempfile.gettempdir()) <= SOCKET_PATH_LIMIT else "/tmp")  # noqa: S108
    # Other users' folders cannot be removed, and trying would raise.
    remove_abandoned(filter(_is_ours, parent.glob(f"{FOLDER_PREFIX}*")))
    folder, lock = create_owned_folder(lambda: Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=parent)))
    try:
        yield folder
    finally:
        # Ray's processes may still write there for a moment; the next start removes the rest.
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _is_ours(folder: Path) -> bool:
    try:
        return folder.stat().st_uid == os.getuid()
    except FileNotFoundError:
        return False


def _import_paths() -> list[str]:
    """List the folders from which this process imports, so that a worker imports the same modules."""
    ours = str(Path(__file__).resolve().parents[2])
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    # The project first, so that a worker's `base` or `train` is not a module of the same name elsewhere.
    return list(dict.fromkeys(path for path in (ours, *given) if path and path in (ours, *sys.path)))
