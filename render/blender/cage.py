"""The walls around the child, built before anything else is imported: only the standard library stands here.

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

PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000


def enter(parent: int) -> str:
    """Leave the network, die with the parent, dump no core. Returns the wall to the network: `namespace` or `none`."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if not sys.platform.startswith("linux"):
        return "none"
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    alone = libc.unshare(CLONE_NEWNET) == 0 or libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0
    # After unshare, which may clear the signal; the parent may have died before it was set.
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the parent is gone")
    return "namespace" if alone else "none"


@contextlib.contextmanager
def few_cpus(count: int) -> Iterator[None]:
    """Let a library that is loaded here count at most `count` CPUs, and have all of them again afterwards.

    Blender's task scheduler keeps as many threads as it counts CPUs when it is loaded. Those that a render of fewer
    threads leaves idle spin: on two CPUs a render of one thread costs two.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    every = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(every)[:count])
    try:
        yield
    finally:
        for thread in Path("/proc/self/task").iterdir():
            os.sched_setaffinity(int(thread.name), every)
