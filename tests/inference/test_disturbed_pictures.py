"""`zero123 sample --on ray` whose driver, workers, children and nodes are killed ends as if undisturbed.

The command itself, on a real Ray cluster of several nodes. A stub stands in the model's place.
"""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from base.seeds import stable_rng
from base.storage import Storage
from tests.app.test_many_pictures import draw
from tests.inference.stub_program import WORKERS
from tests.pipeline.disturbed import DEATHS, after, digests, ended, facts, strike, tries
from tests.pipeline.nodes import ALONE, Nodes, without_ray

pytestmark = pytest.mark.server

ROOT = Path(__file__).parents[2]
HEALTHY = 12
POISON = ("segfault-1", "memory-1")
LIMITS = ("views.child.phase_timeout_s=120", "views.child.memory_mb=400", "shards.objects_per_shard=4")
START = "import sys; from tests.inference.stub_program import install; install(); from app.main import main; "


@dataclass
class PicturePlace:
    """A dataset of views in `folder`, or at `where`, of the pictures in `photos`."""

    folder: Path
    photos: Path
    nodes: Nodes
    where: str = ""
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def root(self) -> str:
        return self.where or str(self.folder / "dataset")

    @property
    def storage(self) -> Storage:
        return Storage(self.root)

    def start(self) -> subprocess.Popen[str]:
        words = ["sample", str(self.photos), "--on", "ray", "--orbit", "2", "--out", self.root]
        words += [word for limit in LIMITS for word in ("--set", limit)]
        here = {"PYTHONPATH": str(ROOT), "RAY_ADDRESS": self.nodes.address, "TERM": "dumb"}
        return subprocess.Popen(
            [sys.executable, "-c", f"{START}sys.exit(main({words!r}))"],
            cwd=ROOT,
            env={**without_ray(), **here, **ALONE, **WORKERS, **self.environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def staged(self) -> int:
        try:
            return len(list(Path(self.root).glob("staging/*/attempt.json")))
        except FileNotFoundError:
            return 0  # the command removed it while it was looked at


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with Nodes(1) as started:
        yield started


@pytest.fixture(scope="module")
def calm(nodes: Nodes, tmp_path_factory: pytest.TempPathFactory) -> PicturePlace:
    return calm_place(nodes, tmp_path_factory.mktemp("calm"), healthy=HEALTHY, poison=POISON)


def calm_place(nodes: Nodes, folder: Path, *, healthy: int, poison: Sequence[str]) -> PicturePlace:
    """Pictures, and what an undisturbed run makes of them."""
    photos = folder / "photos"
    photos.mkdir()
    for number in range(healthy):
        draw(photos / f"thing-{number}.png", number)
    for number, name in enumerate(poison):
        draw(photos / f"{name}.png", 20 + number)
    place = PicturePlace(folder, photos, nodes)
    code, said = ended(place.start())
    assert code == 0, said[-3000:]
    return place


def test_killed_parts_cost_only_what_they_were_doing(calm: PicturePlace, nodes: Nodes, tmp_path: Path) -> None:
    """A child, an actor, the driver, and then a node of the run after it."""
    rng = stable_rng(0, "pictures killed")
    place = PicturePlace(tmp_path, calm.photos, nodes)
    first = place.start()
    for target, staged in {"child": 1, "actor": 3, "driver": 5}.items():
        after(first, place, staged, 0.0)
        assert strike(target, first, nodes, rng), ended(first)
    assert ended(first)[0] < 0
    second = place.start()
    after(second, place, 7, 0.0)
    assert strike("node", second, nodes, rng), ended(second)
    code, said = ended(second)
    assert code == 0, said[-3000:]
    assert digests(place.storage) == digests(calm.storage)
    found, wanted = ({row["title"]: row["outcome"] for row in facts(one.storage).values()} for one in (place, calm))
    # Poison that our own kill met may be named after that.
    assert {found.pop(name) for name in POISON} | {wanted.pop(name) for name in POISON} <= DEATHS
    assert found == wanted == {f"thing-{number}": "ok" for number in range(HEALTHY)}
    assert not place.storage.exists("lease.json")
    # Staged views are kept: only pictures whose answers were lost with their worker ran again.
    again = sum((tries(place.storage, "ok") - tries(calm.storage, "ok")).values())
    assert again < HEALTHY, again
