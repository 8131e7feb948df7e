"""The real Blender child with a fault built in: an object whose uid is `<fault>-<phase>` meets it as that phase begins.

Run like `python -m render.blender`: DEVICE CHANNEL PARENT. For the phase `start` the fault comes before Blender is
there, for every object; the environment cannot carry it, so a file beside the child does: see `FAULT`.
"""

import ctypes
import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from render.blender import sandbox

STEPS = {
    "import": "import_model",
    "normalise": "finish_model",
    "prepare": "apply_render_settings",
    "view": "shoot",
    "encode": "finish_view",
}
"""The function of `render.blender.object_render` that each phase calls."""


def segfault(_channel: int) -> None:
    """Die as Blender does of a bad mesh."""
    ctypes.string_at(0)


def hang(_channel: int) -> None:
    """Wait for ever in native code that lets no Python run."""
    ctypes.PyDLL(None).pause()


def memory(_channel: int) -> None:
    """Take memory, and use it, without end."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
    while True:
        libc.memset(libc.malloc(16 << 20), 1, 16 << 20)


def rubbish(channel: int) -> None:
    """Write on the protocol's channel what is no message."""
    os.write(channel, b"\xff\xfe Fra:1 Mem:30M (Peak 31M)\n")


def leave(_channel: int) -> None:
    """End the process politely in the middle of the work."""
    os._exit(3)


FAULTS: dict[str, Callable[[int], None]] = {
    "segfault": segfault,
    "hang": hang,
    "memory": memory,
    "rubbish": rubbish,
    "exit": leave,
}


def build_in(module: Any, phase: str, channel: int) -> None:
    """Let `phase` begin with the fault in the object's uid, if the uid names this phase."""
    step, work = getattr(module, STEPS[phase]), module.ObjectRender._work
    current: list[str] = []

    def noted(self: Any) -> None:
        current[:] = [self.job.uid]
        work(self)

    def faulty(*arguments: Any, **named: Any) -> Any:
        fault, _, where = current[0].partition("-")
        if where == phase and fault in FAULTS:
            FAULTS[fault](channel)
        return step(*arguments, **named)

    module.ObjectRender._work = noted
    setattr(module, STEPS[phase], faulty)


def main(arguments: list[str]) -> None:
    """Arguments: the fault at the start or `none`, the device, the channel, the parent."""
    at_start, device, channel, parent = arguments
    walls = sandbox.enter_sandbox(int(parent), device)
    if at_start in FAULTS:
        FAULTS[at_start](int(channel))
    with sandbox.limit_visible_cpus(int(os.environ["OMP_NUM_THREADS"])):
        program = importlib.import_module("render.blender.serve")
    module = importlib.import_module("render.blender.object_render")
    for phase in STEPS:
        build_in(module, phase, int(channel))
    program.serve(device, int(channel), walls)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    main(sys.argv[1:])
