"""`python -m render.blender DEVICE CHANNEL PARENT`: the Blender child; started by `render.child`, not by hand."""

import importlib
import os
import sys

from render.blender import sandbox


def main(arguments: list[str]) -> None:
    """Enter the sandbox, then load Blender and serve jobs until standard input ends."""
    device, channel, parent = arguments
    # First of all: libraries start threads when they load, and threads would stay outside the walls.
    walls = sandbox.enter_sandbox(int(parent), device)
    # Only now: what this loads starts threads.
    with sandbox.limit_visible_cpus(int(os.environ["OMP_NUM_THREADS"])):
        program = importlib.import_module("render.blender.serve")
    program.serve(device, int(channel), walls)


if __name__ == "__main__":
    main(sys.argv[1:])
