"""Programs of tests that run in a Blender of their own."""

import os
import subprocess
import sys
from pathlib import Path


def run_in_blender(program: str, *words: str, scratch: Path) -> None:
    """Run a Python program that imports bpy. Blender never removes its temporary folder, so it is made in `scratch`."""
    environment = {**os.environ, "TMPDIR": str(scratch)}
    subprocess.run([sys.executable, "-c", program, *words], check=True, capture_output=True, env=environment)
