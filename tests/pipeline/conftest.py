"""What the tests of this room share: what costs seconds to start, and what spares it."""

from collections.abc import Iterator

import pytest

from render.child import RenderChild
from tests.pipeline.builds import Alone
from tests.pipeline.hub import Hub, hub
from tests.pipeline.nodes import Nodes
from tests.pipeline.stub import install


@pytest.fixture(scope="module")
def nodes(times: int) -> Iterator[Nodes]:
    """A Ray cluster of two nodes, or three for `make soak`, in processes of its own."""
    with Nodes(min(2, times)) as started:
        yield started


@pytest.fixture(scope="module")
def lasting_hub() -> Iterator[Hub]:
    """A server in the hub's layout that all tests of a module share."""
    with hub() as started:
        yield started


@pytest.fixture
def without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Builds have a crew of one in this process, with its Blender: Ray takes seconds to start and to end."""
    monkeypatch.setattr("pipeline.run.Crew", Alone)


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Builds are without Ray and Blender."""
    monkeypatch.setattr("pipeline.run.Crew", Alone)
    monkeypatch.setattr("pipeline.work.render_stage.RenderChild", RenderChild)  # so that it is put back
    install()
