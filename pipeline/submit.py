"""What `ray submit` copies to the head of a cluster and runs there: the `zero123` command, on that cluster's Ray.

    ray submit pipeline.yaml pipeline/submit.py -- build

`ray submit` brings this one file and nothing else, so it stands alone. The project and its settings are those that
`ray up` or `ray rsync-up` brought last; `--settings $(sha256sum pipeline.yaml | cut -c1-16)` before the command makes
sure that they are the ones of the machine that submits.
"""

import datetime
import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

FOLDER = "zero123"  # below the home folder; the file_mounts of pipeline.yaml lead there
FLAG = "--settings"
SHORTEST = 8


def main(arguments: Sequence[str]) -> int:
    """Check the settings and become `python -m app`; returns 2 with a sentence when they are not the wanted ones."""
    project = Path.home() / FOLDER
    wanted, command = _split(arguments)
    settings = project / "pipeline.yaml"
    if not settings.is_file():
        return _refuse(f"expected {settings}, got no such file: `ray up pipeline.yaml` brings it")
    digest = hashlib.sha256(settings.read_bytes()).hexdigest()
    brought = datetime.datetime.fromtimestamp(settings.stat().st_ctime, datetime.UTC)
    if wanted is not None and (len(wanted) < SHORTEST or not digest.startswith(wanted)):
        return _refuse(
            f"expected settings {wanted!r}, got {digest[:16]}, brought here {brought:%Y-%m-%d %H:%M} UTC: "
            "`ray rsync-up pipeline.yaml` brings the present ones"
        )
    sys.stdout.write(f"settings {digest[:16]}, brought here {brought:%Y-%m-%d %H:%M} UTC\n")
    sys.stdout.flush()
    os.chdir(project)
    os.environ.setdefault("RAY_ADDRESS", "auto")
    return os.execv(sys.executable, [sys.executable, "-m", "app", *command])  # noqa: S606


def _split(arguments: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    if arguments[:1] == [FLAG]:
        return "".join(arguments[1:2]), arguments[2:]
    return None, arguments


def _refuse(sentence: str) -> int:
    sys.stderr.write(f"submit: {sentence}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
