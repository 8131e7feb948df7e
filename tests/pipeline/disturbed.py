"""Builds that are disturbed: real ones, by the command itself, on a cluster of several nodes, from a hub's server.

`Place` is one dataset with its settings; `strike` kills one thing of a build at work.
"""

import gzip
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

import yaml
from numpy.random import Generator

from base.digest import sha256_bytes
from base.outcomes import CHILD_DEATHS
from base.settings import merge
from base.storage import Storage
from tests.pipeline.hub import Hub
from tests.pipeline.nodes import ALONE, Nodes, without_ray
from tests.pipeline.processes import children
from tests.pipeline.stub import WORKERS

ROOT = Path(__file__).parents[2]
REPOSITORY = "/datasets/allenai/objaverse/resolve/main"
LIMIT_S = 300
MEASURED = re.compile(r"got \d+")
DEATHS = {outcome.value for outcome in CHILD_DEATHS}
TARGETS = ("driver", "actor", "child", "node", "all")
SMALL: dict[str, Any] = {
    "objects": {
        "source": "objaverse",
        "filter": {"licences": [], "unstated_licence": "any"},
        "objaverse": {"downloaded": ""},
        "fetch": {"timeout_s": 3.0, "deadline_s": 60.0, "tries": 4, "backoff_s": 0.05, "cache_mb": 10},
    },
    "run": {"workers": 0, "cpus_per_worker": 1.0},
    "render": {
        "hw": [16, 16], "views": 2, "samples": 1, "denoise": {"enabled": False},
        "child": {"view_timeout_s": 10.0, "import_timeout_s": 60.0, "memory_mb": 400},
    },
    "shards": {"objects_per_shard": 4, "val_fraction": 0.2},
}  # fmt: skip


def stock(hub: Hub, models: Mapping[str, bytes]) -> None:
    """Have the hub hold these objects, by uid, and the indexes that name them."""
    paths = {uid: f"glbs/000-000/{uid}.glb" for uid in models}
    notes = {uid: {"name": f"thing {uid}", "license": "by"} for uid in models}
    for name, value in {"object-paths": paths, "metadata/000-000": notes}.items():
        hub.files[f"{REPOSITORY}/{name}.json.gz"] = gzip.compress(json.dumps(value).encode(), mtime=0)
    hub.files.update({address(uid): data for uid, data in models.items()})


def address(uid: str) -> str:
    """Where the hub has the object of this uid."""
    return f"{REPOSITORY}/glbs/000-000/{uid}.glb"


def model(uid: str) -> bytes:
    """A sound glTF file that says nothing but the uid."""
    text = json.dumps({"asset": {"version": "2.0"}, "extras": {"uid": uid}}).encode()
    text += b" " * (-len(text) % 4)
    return struct.pack("<4sIIII", b"glTF", 2, 20 + len(text), len(text), 0x4E4F534A) + text


class Dataset(Protocol):
    """What `after` looks at."""

    def staged(self) -> int: ...


@dataclass
class Place:
    """A dataset at `root`, whose builds fetch from `hub`, keep their caches and settings in `folder`, use the `stub`
    child unless told otherwise, and see these variables of the `environment`."""

    folder: Path
    root: str
    hub: Hub
    nodes: Nodes
    stub: bool = True
    changes: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    @classmethod
    def new(cls, folder: Path, hub: Hub, nodes: Nodes, changes: dict[str, Any] | None = None, **more: Any) -> Self:
        """A dataset that is not there yet, with all else, in a new folder."""
        folder.mkdir()
        return cls(folder, str(folder / "dataset"), hub, nodes, changes=changes or {}, **more)

    @property
    def storage(self) -> Storage:
        """The dataset."""
        return Storage(self.root)

    def start(self, uids: Sequence[str], command: str = "build") -> subprocess.Popen[str]:
        """The build of these objects, as a process that has just begun."""
        return subprocess.Popen(
            [sys.executable, "-m", "app", command, "--config", str(self._config(uids))],
            cwd=ROOT,
            env={**without_ray(), **self._variables()},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def build(self, uids: Sequence[str], command: str = "build") -> str:
        """The build of these objects, to its good end; what it said."""
        code, said = ended(self.start(uids, command))
        assert code == 0, said[-3000:]
        return said

    def staged(self) -> int:
        """How many objects are rendered and wait, in a folder."""
        try:
            return len(list(Path(self.root).glob("staging/*/attempt.json")))
        except FileNotFoundError:
            return 0  # the build removed it while it was looked at

    def _config(self, uids: Sequence[str]) -> Path:
        shipped = yaml.safe_load((ROOT / "pipeline.yaml").read_text())["metadata"]["pipeline"]
        here = {
            "storage": {"root": self.root},
            "objects": {
                "objaverse": {"uids": list(uids), "cache": str(self.folder / "indexes")},
                "fetch": {"cache": str(self.folder / "models")},
            },
        }
        path = self.folder / "pipeline.yaml"
        whole = merge(merge(merge(shipped, SMALL), here), self.changes)
        path.write_text(yaml.safe_dump({"metadata": {"pipeline": whole}}))
        return path

    def _variables(self) -> dict[str, str]:
        ours = {"PYTHONPATH": str(ROOT), "HF_ENDPOINT": self.hub.address, "RAY_ADDRESS": self.nodes.address}
        quiet = {**ALONE, "TERM": "dumb"}
        return {**ours, **quiet, **(WORKERS if self.stub else {}), **self.environment}


@dataclass
class Calm:
    """What two requests make when nothing happens: the dataset as each leaves it."""

    requests: tuple[tuple[str, ...], tuple[str, ...]]
    after_first: Place
    after_second: Place

    @classmethod
    def made(cls, place: Place, *requests: tuple[str, ...]) -> "Calm":
        """Build the first request, keep a copy, and build the second."""
        place.build(requests[0])
        first = _moved(place, place.folder.parent / "first")
        place.build(requests[1])
        return cls((requests[0], requests[1]), first, place)

    def again(self, folder: Path) -> Place:
        """A copy of the dataset as the first request left it, and nothing else."""
        return _moved(self.after_first, folder)

    def is_what(self, place: Place, dying: Collection[str] = ()) -> None:
        """AssertionError unless a disturbed dataset has become what the undisturbed one is.

        Objects that are `dying` die in both, of whatever comes first.
        """
        found, wanted = facts(place.storage), facts(self.after_second.storage)
        assert {rows.pop(uid)["outcome"] for uid in dying for rows in (found, wanted)} <= DEATHS
        assert digests(place.storage) == digests(self.after_second.storage)
        assert found == wanted
        assert not place.storage.exists("lease.json")


def _moved(place: Place, folder: Path) -> Place:
    folder.mkdir()
    shutil.copytree(place.root, folder / "dataset")
    return Place(folder, str(folder / "dataset"), place.hub, place.nodes, place.stub, place.changes, place.environment)


def ended(build: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit code of a build, and what it said; AssertionError when it does not end."""
    try:
        said = build.communicate(timeout=LIMIT_S)[1]
    except subprocess.TimeoutExpired:
        build.kill()
        raise AssertionError(f"still at work: {build.communicate()[1][-3000:]}") from None
    assert "Traceback" not in said, said[-3000:]
    return build.returncode, said


def strike(target: str, build: subprocess.Popen[str], nodes: Nodes, rng: Generator) -> bool:
    """Kill this part of a build as soon as there is one; False when the build ended first."""
    while build.poll() is None:
        victims = _victims(target, build, nodes)
        if not victims:
            time.sleep(0.01)
            continue
        victim = victims[int(rng.integers(len(victims)))]
        if target == "node":
            nodes.kill_node(victim)
            nodes.add_node()
        elif target == "all":
            build.kill()
            nodes.kill()
            nodes.start_again()
        else:
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
        return True
    return False


def _victims(target: str, build: subprocess.Popen[str], nodes: Nodes) -> list[int]:
    if target in ("driver", "all"):
        return [build.pid]
    if target == "node":
        return list(range(len(nodes.raylets)))
    workers = nodes.workers()
    kin = children()
    return workers if target == "actor" else [child for worker in workers for child in kin.get(worker, ())]


def after(build: subprocess.Popen[str], place: Dataset, staged: int, delay_s: float) -> None:
    """Wait until so many objects are staged, then so long, or until the build ends."""
    deadline = time.monotonic() + LIMIT_S
    while place.staged() < staged and build.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    with suppress(subprocess.TimeoutExpired):
        build.wait(delay_s)


@contextmanager
def watched(root: str, pinned: int = 1) -> Iterator[dict[str, int]]:
    """A reader looks at the dataset all the while; afterwards, what it saw. AssertionError for any damage."""
    saw: dict[str, int] = {}
    line = [sys.executable, "-m", "tests.pipeline.reader", root, str(pinned)]
    with subprocess.Popen(line, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        try:
            yield saw
        finally:
            said = json.loads(reader.communicate("enough\n", timeout=60)[0])
    assert "damage" not in said, said["damage"]
    saw.update(said)


def contents(storage: Storage) -> dict[str, bytes]:
    """Every shard and every version of a dataset, by name."""
    return {name: storage.read(name) for name in (*storage.names("shards"), *storage.names("versions"))}


def digests(storage: Storage) -> dict[str, str]:
    """The digest of each of them."""
    return {name: sha256_bytes(data) for name, data in contents(storage).items()}


def table(storage: Storage, name: str) -> list[dict[str, Any]]:
    """The rows of a table of the catalogue, as any reader of Delta Lake has them."""
    import pyarrow
    from deltalake import DeltaTable, QueryBuilder

    found = QueryBuilder().register("rows", DeltaTable(f"{storage.root}/catalog/{name}")).execute("select * from rows")
    rows: list[dict[str, Any]] = pyarrow.table(found.read_all()).to_pylist()
    return rows


def facts(storage: Storage) -> dict[str, dict[str, Any]]:
    """What the catalogue says of every object, but for how often it was tried and what was measured."""
    rows = {row["uid"]: row for row in table(storage, "objects")}
    assert len(rows) == len(table(storage, "objects")), "every object has one row"
    for row in rows.values():
        del row["attempts"]
        row["reason"] = MEASURED.sub("got some", row["reason"])
    return rows


def tries(storage: Storage, outcome: str = "") -> Counter[str]:
    """How many attempts at each object are recorded, all or those that ended so."""
    found = {row["attempt"]: row for row in table(storage, "attempts")}
    return Counter(row["uid"] for row in found.values() if outcome in ("", row["outcome"]))


def outcomes(storage: Storage) -> dict[str, str]:
    """How every object ended."""
    return {uid: row["outcome"] for uid, row in facts(storage).items()}
