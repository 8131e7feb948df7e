"""`ray up` and `ray submit` with the repository's own pipeline.yaml, through sshd, with token authentication.

Needs root, for a private network, process table and home folder in which `ray stop` meets nobody else's Ray, and
Debian's openssh-server, rsync and iproute2. `.ci/run` installs and starts it.
"""

import json
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

from base.storage import Storage
from shards.reader import read_shard
from shards.version import read_version
from tests.app.test_many_pictures import draw

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("ray_submit.sh")
OBJECTS = ("stool.glb", "avocado.glb")
PICTURES = ("ant", "bee")
LIMIT_S = 900

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what pipeline.yaml mounts, two objects, two pictures, and places for the layers and the datasets."""
    work = tmp_path_factory.mktemp("submit")
    for name in ("layers", "objects", "photos", "checkout"):
        (work / name).mkdir()
    for number, name in enumerate(PICTURES):
        draw(work / "photos" / f"{name}.png", number)
    for name in OBJECTS:
        shutil.copy(ROOT / "examples" / "objects" / name, work / "objects")
    mounts = yaml.safe_load((ROOT / "pipeline.yaml").read_text(encoding="utf-8"))["file_mounts"]
    for local in (local for remote, local in mounts.items() if "zero123/" in remote):
        copy = shutil.copytree if (ROOT / local).is_dir() else shutil.copy
        copy(ROOT / local, work / "checkout" / local)
    return work


@pytest.fixture(scope="module")
def parts(work: Path) -> dict[str, str]:
    """What each part of the script printed."""
    unshare = ["unshare", "--net", "--pid", "--mount", "--ipc", "--fork", "--kill-child", "--mount-proc"]
    log = work / "log"
    with log.open("wb") as stream:
        done = subprocess.run(
            [*unshare, "bash", str(SCRIPT), str(ROOT), str(work)],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            timeout=LIMIT_S,
            check=False,
        )
    text = re.sub(r"\x1b\[[0-9;]*m", "", log.read_text(encoding="utf-8", errors="replace"))
    assert done.returncode == 0, text[-6000:]
    pieces = re.split(r"^== (\w+) ==$", text, flags=re.MULTILINE)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def test_the_build_leaves_both_objects_in_shards(parts: dict[str, str], work: Path) -> None:
    assert "brought here" in parts["build"]
    members = []
    for shard in (work / "dataset" / "shards").glob("*.tar"):
        with tarfile.open(shard) as tar:
            members += tar.getnames()
    assert len({name.partition(".")[0] for name in members}) == len(OBJECTS)
    assert sum(name.endswith(".webp") for name in members) == 12 * len(OBJECTS)
    versions = sorted((work / "dataset" / "versions").glob("*.json"))
    assert [path.name for path in versions] == ["1.json"], "the second build changed nothing, so it made no version"
    assert json.loads(versions[0].read_text())


def test_sample_puts_the_views_of_pictures_into_shards(parts: dict[str, str], work: Path) -> None:
    """By the packaged model, which travels with the project."""
    assert "brought here" in parts["sample"]
    assert "version 1: 2 pictures sampled" in parts["sample"]
    storage = Storage(str(work / "views"))
    version = read_version(storage)
    samples = [sample for shard in version.shards for sample in read_shard(storage, shard)]
    assert sorted(sample.facts["object"]["title"] for sample in samples) == list(PICTURES)
    assert {len(sample.extrinsics) for sample in samples} == {2}
    assert {sample.facts["render"]["model"]["from"] for sample in samples} == {"mini"}
    assert "nothing to do: version 1 is up to date (2 ok)" in parts["resample"]
    assert version.number == 1


def test_a_wrong_token_and_none_are_refused(parts: dict[str, str]) -> None:
    assert "let in" not in parts["token"]
    assert "Resources" in parts["token"], "the right one is answered"


def test_edits_since_ray_up_are_noticed(parts: dict[str, str]) -> None:
    assert parts["stale"].count("submit: expected project") >= 3, "settings, code, and code of a job"
    assert "seed: 7" in parts["fresh"]


def test_a_project_that_nobody_names_is_not_run(parts: dict[str, str]) -> None:
    assert parts["unnamed"].count("submit: expected --project and the digest") >= 2, "of ray submit, and of a job"


def test_ray_job_submit_runs_the_command_too(parts: dict[str, str]) -> None:
    assert "succeeded" in parts["job"]
