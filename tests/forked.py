"""Processes forked from a server that has loaded torch and diffusers: they begin at once.

Loading these packages takes 5 CPU seconds, most of a small command's time. The tests that need a new Python, because
they are about its start or about a launcher, start one.
"""

import faulthandler
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

LOADED = ("app.main", "evaluation.novel_views", "reconstruct.optimise", "train.cache", "train.loop")
ROOT = Path(__file__).parents[1]


class Forked:
    """A process that runs `function(*words)` in the folder `cwd`, with the methods of a `subprocess.Popen`.

    Its exit code is what the function returns, or minus the number of the signal that ended it.
    """

    def __init__(
        self, function: Callable[..., int], *words: str, env: Mapping[str, str] | None = None, cwd: Path = ROOT
    ) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(LOADED))
        self.args = words
        self.outputs = [tempfile.TemporaryFile() for _ in range(2)]  # noqa: SIM115 -- closed by `wait`
        # The server inherits no files, so the child opens these by the names that the system gives them.
        names = [f"/proc/{os.getpid()}/fd/{output.fileno()}" for output in self.outputs]
        # A daemon could have no children, as loaders and renderers have.
        self.process: Any = context.Process(
            target=_run, args=(function, words, dict(env or os.environ), cwd, names), daemon=False
        )
        self.process.start()
        self.pid: int = self.process.pid or 0
        self.texts = ("", "")

    @property
    def returncode(self) -> int | None:
        code: int | None = self.process.exitcode
        return code

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        self.process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(list(self.args), timeout or 0.0)
        if not any(output.closed for output in self.outputs):
            self.texts = (_take_text(self.outputs[0]), _take_text(self.outputs[1]))
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        self.wait(timeout)
        return self.texts

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def run_forked(
    function: Callable[..., int], *words: str, timeout: float, cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Run `function(*words)` in `cwd` to its end. Kills it after `timeout` seconds."""
    process = Forked(function, *words, cwd=cwd)
    try:
        stdout, stderr = process.communicate(timeout)
    finally:
        process.kill()
    return subprocess.CompletedProcess(words, process.wait(), stdout, stderr)


def run_command(*words: str) -> int:
    """Run `zero123 WORDS`, to be passed to `Forked`."""
    from app.main import main

    return main(words)


def _take_text(file: IO[bytes]) -> str:
    with file:
        file.seek(0)
        return file.read().decode()


def _run(
    function: Callable[..., int], words: Sequence[str], env: Mapping[str, str], cwd: Path, outputs: Sequence[str]
) -> None:
    for number, path in enumerate(outputs, start=1):
        target = os.open(path, os.O_WRONLY)
        os.dup2(target, number)
        os.close(target)
    faulthandler.enable()
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    try:
        sys.exit(function(*words))
    except KeyboardInterrupt:
        # As Python itself ends after Ctrl-C; multiprocessing would make it exit code 1.
        sys.stdout.flush()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
