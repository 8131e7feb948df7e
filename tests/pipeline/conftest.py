"""What the tests of this room share that costs seconds to start."""

from collections.abc import Iterator

import pytest

from tests.pipeline.hub import Hub, hub
from tests.pipeline.nodes import Nodes


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
