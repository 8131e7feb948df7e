"""Films are the same bytes each time, whatever the memory that the encoder gets held before."""

import os
import subprocess
import sys

import pytest

from report.video import VIDEO_KINDS

SCRIPT = """
import hashlib, sys
import numpy as np
from report.video import video_bytes
frames = [np.full((24, 32, 3), 255, np.uint8) for _ in range(5)]
for number, frame in enumerate(frames):
    frame[6:18, 8:24] = np.random.default_rng([5, number]).integers(0, 200, (12, 16, 3))
print(hashlib.sha256(video_bytes(frames, sys.argv[1], 8.0)).hexdigest())
"""


@pytest.mark.parametrize("kind", VIDEO_KINDS)
def test_a_film_does_not_depend_on_what_memory_held(kind: str) -> None:
    # The C library fills every block that a program gets with a byte made from this number.
    digests = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT, kind],
            env={**os.environ, "MALLOC_PERTURB_": fill},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for fill in ("1", "77", "200")
    }
    assert len(digests) == 1
