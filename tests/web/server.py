"""`zero123 serve` as a process, for tests with a browser or another real client."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SMALL_MESH = (
    "reconstruct.stages=[{resolution: 24, steps: 12}]", "reconstruct.samples_per_ray=32",
    "reconstruct.mesh.resolution=48", "reconstruct.mesh.faces=2000", "reconstruct.mesh.texture.views=6",
    "reconstruct.mesh.texture.edge_px=256",
)  # fmt: skip


@dataclass
class Server:
    """`zero123 serve` in a process of its own, on a port that stays the same when it is started again."""

    folder: Path
    flags: tuple[str, ...] = ()
    port: int = 0
    process: subprocess.Popen[str] | None = None

    @property
    def log(self) -> Path:
        """What the process said to stderr."""
        return self.folder.with_name(f"{self.folder.name}.log")

    def start(self) -> str:
        """Start, and return the link to the page."""
        words = ["serve", "--port", str(self.port), "--folder", str(self.folder)]
        words += [word for value in SMALL_MESH for word in ("--set", value)]
        environment = {**os.environ, "OMP_NUM_THREADS": "2"}
        command = [sys.executable, "-m", "app", *words, *self.flags]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
        assert found, f"{line}{self.log.read_text()}"
        self.port = int(found[1])
        return found[0]

    def kill(self) -> None:
        """End it without a chance to tidy up."""
        assert self.process is not None
        self.process.kill()
        self.wait()

    def stop(self) -> str:
        """Stop it as `kill` and service managers do; return what it said meanwhile and before."""
        assert self.process is not None
        self.process.terminate()
        self.wait()
        return self.log.read_text()

    def wait(self) -> None:
        """Wait for its end."""
        assert self.process is not None
        self.process.wait(60)
        assert self.process.stdout is not None
        self.process.stdout.close()
