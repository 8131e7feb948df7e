"""The script of `ray submit`, as the head runs it: alone, from the home folder."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "pipeline" / "submit.py"
ECHO = "import os, sys\nprint('ran', sys.argv[1:], os.getcwd(), os.environ['RAY_ADDRESS'])\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A head's home folder, its project a program that tells how it was called."""
    app = tmp_path / "zero123" / "app"
    app.mkdir(parents=True)
    (app / "__init__.py").touch()
    (app / "__main__.py").write_text(ECHO)
    (tmp_path / "zero123" / "pipeline.yaml").write_text("metadata: {}\n")
    shutil.copy(SCRIPT, tmp_path)
    return tmp_path


def submit(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    line = [sys.executable, str(home / "submit.py"), *arguments]
    return subprocess.run(
        line, cwd=home, env={**environment, "HOME": str(home)}, capture_output=True, text=True, check=False
    )


def digest(checkout: Path) -> str:
    """What the machine that submits has: its own copy of the script says it."""
    line = [sys.executable, str(checkout / "pipeline" / "submit.py"), "--project"]
    return subprocess.run(line, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def checkout(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the project was brought from: with tests and caches, which are not brought."""
    checkout = tmp_path_factory.mktemp("checkout")
    shutil.copytree(home / "zero123", checkout, dirs_exist_ok=True)
    for name in ("pipeline/__init__.py", "tests/__init__.py", "app/__pycache__/main.pyc"):
        (checkout / name).parent.mkdir(exist_ok=True)
        (checkout / name).touch()
    shutil.copy(SCRIPT, checkout / "pipeline")
    shutil.copytree(checkout / "pipeline", home / "zero123" / "pipeline")
    return checkout


def test_submit_becomes_the_command(home: Path, checkout: Path) -> None:
    done = submit(home, "--project", "any", "build", "--set", "run.seed=3")
    assert done.returncode == 0, done.stderr
    assert f"ran ['build', '--set', 'run.seed=3'] {home / 'zero123'} auto" in done.stdout
    assert done.stdout.startswith(f"project {digest(checkout)}, settings brought here 2")


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("--project DIGEST build --dry-run", ["build", "--dry-run"]),
        ("build --project DIGEST --dry-run", ["build", "--dry-run"]),
        ("build --dry-run --project=DIGEST", ["build", "--dry-run"]),
        ("--project DIGEST build -- --project x", ["build", "--", "--project", "x"]),
    ],
)
def test_the_wanted_project_is_let_through_wherever_it_is_named(
    home: Path, checkout: Path, line: str, command: list[str]
) -> None:
    done = submit(home, *line.replace("DIGEST", digest(checkout)).split())
    assert done.returncode == 0, done.stderr
    assert f"ran {command}" in done.stdout


@pytest.mark.parametrize("line", ["build", "build --set run.seed=3", "build -- --project any", ""])
def test_submit_requires_a_project(home: Path, checkout: Path, line: str) -> None:
    done = submit(home, *line.split())
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("submit: expected --project and the digest of a project, got nothing; here is ")
    assert digest(checkout) in done.stderr
    assert '`--project "$(python3 pipeline/submit.py --project)"`' in done.stderr
    assert "`--project any` runs what is here" in done.stderr


def test_every_line_that_is_documented_names_the_project() -> None:
    """In the files that people read, whatever stands between the script's name and the end of the line or quote."""
    root = SCRIPT.parents[1]
    pages = [root / "README.md", root / "pipeline.yaml", SCRIPT, *sorted((root / "docs").rglob("*.md"))]
    pattern = re.compile(r"^.*\bray (?:job )?submit\b[^`\n]* -- .*$", re.MULTILINE)
    lines = [line for page in pages for line in pattern.findall(page.read_text(encoding="utf-8"))]
    assert len(lines) >= 4
    assert [line for line in lines if "--project" not in line] == []


@pytest.mark.parametrize("wanted", ["0" * 16, "", "abc", "build"])
def test_other_project_digest_is_refused(home: Path, checkout: Path, wanted: str) -> None:
    done = submit(home, "--project", wanted, "build")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(f"submit: expected project {wanted!r}, got {digest(checkout)}, settings brought")
    assert "ray rsync-up --all-nodes pipeline.yaml" in done.stderr
    assert "ran" not in done.stdout


@pytest.mark.parametrize("changed", ["pipeline.yaml", "app/__main__.py", "pipeline/new.py", "constraints.txt"])
def test_project_digest_covers_settings_code_and_pins(home: Path, checkout: Path, changed: str) -> None:
    with (checkout / changed).open("a") as stream:
        stream.write("# edited\n")
    assert submit(home, "--project", digest(checkout), "build").returncode == 2


def test_a_head_without_the_project_is_one_sentence(home: Path) -> None:
    shutil.rmtree(home / "zero123")
    done = submit(home, "build")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "`ray up pipeline.yaml` brings it" in done.stderr
