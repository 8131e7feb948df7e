"""The sandbox of the child, entered before other imports; therefore only the standard library is used here.

Numerical libraries start threads when imported, and a process with threads can no longer move itself.
"""

import contextlib
import ctypes
import os
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from render.blender import landlock

PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000

ROOT = Path(__file__).parents[2]
OURS = ("base", "geometry", "render")
"""The packages of the child's program."""

SYSTEM = (
    "/usr", "/lib", "/lib64", "/opt/rocm", "/sys", "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat",
    "/proc/sys", "/proc/version", "/proc/driver", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d",
    "/etc/alternatives", "/etc/fonts", "/etc/localtime", "/etc/OpenCL", "/etc/vulkan",
)  # fmt: skip
"""What libraries, and drivers of GPUs, read; of other processes nothing, for their environment may hold secrets."""

DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
GPUS = ("dri", "kfd", "nvidia*")
CACHES = ("CUDA_CACHE_PATH", "OPTIX_CACHE_PATH", "SYCL_CACHE_DIR")


def enter_sandbox(parent: int, device: str) -> dict[str, str]:
    """Leave the network and the files of others, die with the parent, dump no core; `device` will render.

    Returns the active walls: `network` is `namespace` or `none`, `files` is `landlock` or `none`.
    """
    # A core of Blender takes gigabytes, and crashes are expected here.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if not sys.platform.startswith("linux"):
        return {"network": "none", "files": "none"}
    libc = ctypes.CDLL(None, use_errno=True)
    # Landlock requires it of processes without privileges.
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # The first works for root. Others need a user namespace, and some systems refuse it to them.
    alone = libc.unshare(CLONE_NEWNET) == 0 or libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0
    # After unshare, which may clear the signal; the parent may have died before it was set.
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the parent is gone")
    hidden = landlock.restrict(_needed(device))
    return {"network": "namespace" if alone else "none", "files": "landlock" if hidden else "none"}


def _needed(device: str) -> dict[int, list[Path]]:
    """The rights that a render needs: to read programs and libraries, to write into the working folder alone."""
    # In a checkout the root also holds data, runs and keys; installed, it is the folder of packages.
    is_checkout = (ROOT / "pyproject.toml").is_file()
    programs = [sys.prefix, sys.base_prefix, *os.environ.get("LD_LIBRARY_PATH", "").split(":"), *sys.path]
    gpus = [] if device == "CPU" else [path for name in GPUS for path in Path("/dev").glob(name)]
    return {
        landlock.LIST: [ROOT],
        landlock.READ: [
            *map(Path, SYSTEM),
            *(ROOT / room for room in OURS),
            *(Path(path) for path in programs if path and not (is_checkout and Path(path) == ROOT)),
        ],
        landlock.USE | landlock.READ: [*map(Path, DEVICES), *gpus],
        landlock.WRITE: [Path.cwd(), *(Path(os.environ[name]) for name in CACHES if name in os.environ)],
    }


@contextlib.contextmanager
def limit_visible_cpus(count: int) -> Iterator[None]:
    """Let a library loaded in this block see at most `count` CPUs. Afterwards all CPUs are visible again.

    Blender's task scheduler keeps as many threads as it sees CPUs when loaded. Idle threads spin: on two CPUs, a render
    with a single thread costs two.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    every = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(every)[:count])
    try:
        yield
    finally:
        # All threads: those started in the block inherited the few.
        for thread in Path("/proc/self/task").iterdir():
            os.sched_setaffinity(int(thread.name), every)
