"""A Ray to work on: local and gone with this process, or a cluster that is joined."""

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
from base.interrupts import held_back
from base.scratch import owned, sweep
from pipeline.settings import RunSettings

CONNECT_S = 10.0
FOLDER_PREFIX = "z123-"
SOCKET_PATH_LIMIT = 40
"""Ray puts sockets some 60 characters below its folder, and a socket's path may have 107."""
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_USAGE_STATS_REPORT_URL": "http://127.0.0.1:9/",
    "RAY_SCHEDULER_EVENTS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
ALONE = {"RAY_AUTH_MODE": "token", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""A Ray of our own wants a token, and listens on this machine alone: so Ray does where it cannot have other nodes."""

SILENT: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False, "namespace": "zero123"}


def cluster_address(run: RunSettings) -> str:
    """The address of the cluster to join; empty for a local Ray."""
    return run.address or os.environ.get("RAY_ADDRESS", "")


@contextmanager
def ray_for(run: RunSettings) -> Iterator[bool]:
    """A Ray to work on: the one this process is joined to already, the one at `run.address`, or a local one of its own.

    Yields True for one that was started here, whose size is fixed. Raises Failure when there is no cluster at the
    address. What was started here ends here.
    """
    address = cluster_address(run)
    _prepare_environment(local=not address)
    import ray

    if ray.is_initialized():
        yield False
        return
    with ExitStack() as stack:
        folder = None if address else stack.enter_context(ray_folder())
        stack.callback(_shut_down)
        if folder is None:
            _join(address)
        else:
            _start_local(run, folder)
        yield folder is not None


@contextmanager
def _uncut() -> Iterator[None]:
    """Hold back signals to stop: a Ray that half stands can end this process by a segmentation fault.

    While it starts, Ray is kept from taking SIGTERM for itself. (It starts in this thread: with it its processes end.)
    """
    from ray._private import utils

    take, utils.set_sigterm_handler = utils.set_sigterm_handler, lambda _handler: None
    try:
        with held_back():
            yield
    finally:
        utils.set_sigterm_handler = take


def _shut_down() -> None:
    import ray

    with _uncut():
        ray.shutdown()


def _prepare_environment(*, local: bool) -> None:
    """Make sure that Ray, which reads these when it is imported, reports to nobody and, if ours, keeps to itself."""
    for name, value in {**QUIET, **(ALONE if local else {})}.items():
        os.environ.setdefault(name, value)


def _join(address: str) -> None:
    import ray

    host, _, port = address.rpartition(":")
    try:
        if host and port.isdecimal() and "/" not in host:
            socket.create_connection((host, int(port)), CONNECT_S).close()  # Ray itself would try for minutes
        with _uncut():
            ray.init(address=address, **SILENT)
    except (OSError, RuntimeError, ValueError, OverflowError) as error:
        raise Failure(f"run.address: expected a Ray cluster at {address!r}, got: {_sentence(error)}") from None


def _start_local(run: RunSettings, folder: Path) -> None:
    import ray

    if os.environ.get("RAY_AUTH_MODE") == "token":
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    _have_ray_read_its_environment()
    asked = math.ceil(run.workers * run.cpus_per_worker)
    try:
        with _uncut(), _exported("PYTHONPATH", os.pathsep.join(_import_paths())):
            ray.init(
                num_cpus=max(1, os.cpu_count() or 1, asked),
                include_dashboard=False,
                object_store_memory=run.object_store_mb << 20,
                _temp_dir=str(folder),
                **SILENT,
            )
    except Exception as error:  # Ray's own has no narrower kind for a machine too busy to start it in 30 s
        sentence = f"expected a Ray of our own to start, got: {_sentence(error)}; the same command tries again"
        raise Failure(sentence) from error


def _have_ray_read_its_environment() -> None:
    """Once more, as Ray does where it sets the mode itself: whoever imported Ray before us may have had it read."""
    from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]  # Cython

    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split())[:300].rstrip(".")


@contextmanager
def _exported(name: str, value: str) -> Iterator[None]:
    """An environment variable for the processes started meanwhile: quicker than Ray's runtime environments."""
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
    """A folder for a local Ray's files, locked while this process lives; those of processes that were killed go."""
    parent = Path(tempfile.gettempdir() if len(tempfile.gettempdir()) <= SOCKET_PATH_LIMIT else "/tmp")  # noqa: S108
    sweep(filter(_is_ours, parent.glob(f"{FOLDER_PREFIX}*")))
    folder, lock = owned(lambda: Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=parent)))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _is_ours(folder: Path) -> bool:
    try:
        return folder.stat().st_uid == os.getuid()
    except FileNotFoundError:
        return False


def _import_paths() -> list[str]:
    """Where this process finds its modules, so that a worker finds the same ones."""
    ours = str(Path(__file__).resolve().parents[2])
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return list(dict.fromkeys(path for path in (ours, *given) if path and path in (ours, *sys.path)))
