"""`python -m render.blender DEVICE CHANNEL PARENT`: the Blender child; started by `render.child`, not by hand."""

import importlib
import sys

from render.blender import cage


def main(arguments: list[str]) -> None:
    """Build the walls, then load Blender and serve jobs until standard input ends."""
    device, channel, parent = arguments
    network = cage.enter(int(parent))
    # Only now: what this loads starts threads.
    importlib.import_module("render.blender.serve").serve(device, int(channel), network)


if __name__ == "__main__":
    main(sys.argv[1:])
