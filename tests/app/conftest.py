"""What tests of commands in this process share."""

import signal
from collections.abc import Iterator

import pytest


@pytest.fixture
def kept_signals() -> Iterator[None]:
    """Give the process's signals back: commands take them over."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)
