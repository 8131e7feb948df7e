"""The script of `ray submit`: it runs the `zero123` command on the head of a cluster.

    ray submit pipeline.yaml pipeline/submit.py -- --project "$(python3 pipeline/submit.py --project)" build

`ray submit` copies only this file, so it imports nothing of the project. Project and settings are those of the last
`ray up` or `ray rsync-up`. `--project DIGEST` requires the project of the submitting machine: there,
`python3 pipeline/submit.py --project` prints the digest. `--project any` runs the present project. Without the option
nothing runs. Ray jobs use the same script:

    ray job submit --address http://127.0.0.1:8265 -- python -m pipeline.submit --project DIGEST build
"""

import datetime
import hashlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

FOLDER = "zero123"  # below the home folder; the file_mounts of pipeline.yaml lead there
SETTINGS = "pipeline.yaml"
FILES = (SETTINGS, "constraints.txt", "pyproject.toml")
NOT_BROUGHT = ("bench", "tests")
FLAG, ANY = "--project", "any"
SHORTEST = 8
HOW = (
    f'`{FLAG} "$(python3 pipeline/submit.py {FLAG})"` beside the command, on the machine that submits, lets only the '
    f"project there run; `{FLAG} {ANY}` runs what is here"
)


def main(arguments: Sequence[str]) -> int:
    """Check the project and become `python -m app`. Returns 2 with a sentence for another project."""
    if list(arguments) == [FLAG]:
        sys.stdout.write(f"{project_digest(Path(__file__).resolve().parents[1])}\n")
        return 0
    project = Path.home() / FOLDER
    wanted, command = _split(arguments)
    settings = project / SETTINGS
    if not settings.is_file():
        return _refuse(f"expected {settings}, got no such file: `ray up pipeline.yaml` brings it")
    digest = project_digest(project)
    # The time of change: rsync keeps the time of the last edit.
    brought = datetime.datetime.fromtimestamp(settings.stat().st_ctime, datetime.UTC)
    here = f"{digest}, settings brought here {brought:%Y-%m-%d %H:%M} UTC"
    if wanted is None:
        return _refuse(f"expected {FLAG} and the digest of a project, got nothing; here is {here}: {HOW}")
    if wanted != ANY and (len(wanted) < SHORTEST or not digest.startswith(wanted)):
        return _refuse(
            f"expected project {wanted!r}, got {here}: "
            "`ray rsync-up --all-nodes pipeline.yaml` brings the present one, "
            "and `ray exec pipeline.yaml 'rm -r zero123/*/'` before it takes away what you removed"
        )
    sys.stdout.write(f"project {here}\n")
    # `execv` drops buffered text.
    sys.stdout.flush()
    os.chdir(project)
    # Else the command would start a Ray of its own on the head, beside the cluster.
    os.environ.setdefault("RAY_ADDRESS", "auto")
    return os.execv(sys.executable, [sys.executable, "-m", "app", *command])  # noqa: S606


def project_digest(project: Path) -> str:
    """Return 16 digits of the code, settings and pinned packages of a checkout or of a cluster's copy."""
    digest = hashlib.sha256()
    for path in sorted(_files(project)):
        digest.update(f"{path.relative_to(project).as_posix()}\0".encode())
        # A digest per file: joined bytes could be cut elsewhere with the same sum.
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _files(project: Path) -> Iterator[Path]:
    yield from (project / name for name in FILES if (project / name).is_file())
    # Packages only: a checkout also has data, runs and an environment.
    for init in project.glob("*/__init__.py"):
        if init.parent.name not in NOT_BROUGHT:
            found = (path for path in init.parent.rglob("*") if path.is_file())
            yield from (path for path in found if "__pycache__" not in path.parts)


def _split(arguments: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    """Return the value of FLAG, or None, and the other arguments. Arguments after `--` belong to the command."""
    for index, word in enumerate(arguments):
        name, equals, value = word.partition("=")
        if word == "--":
            break
        if name == FLAG:
            said, rest = (value, index + 1) if equals else ("".join(arguments[index + 1 : index + 2]), index + 2)
            return said, [*arguments[:index], *arguments[rest:]]
    return None, arguments


def _refuse(sentence: str) -> int:
    sys.stderr.write(f"submit: {sentence}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
