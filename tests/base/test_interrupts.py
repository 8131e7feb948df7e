"""A signal to stop waits for the end of a block, and no longer."""

import signal
import threading
from collections.abc import Iterator

import pytest

from base.interrupts import STOPS, delay_signals


def block(*numbers: int) -> list[int]:
    """What of a block was reached in which so many signals arrive, one after the other."""
    reached = []
    try:
        with delay_signals():
            for number in numbers:
                signal.raise_signal(number)
                reached.append(number)
    except KeyboardInterrupt:
        return reached
    raise AssertionError("no signal arrived")


@pytest.fixture(autouse=True)
def stopping() -> Iterator[None]:
    """Each of the signals stops this process as Ctrl-C does."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in STOPS}
    yield
    assert {signal.getsignal(number) for number in STOPS} == {signal.default_int_handler}
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", STOPS)
def test_the_first_one_arrives_at_the_end(number: int) -> None:
    assert block(number) == [number]


def test_the_second_one_arrives_at_once() -> None:
    assert block(signal.SIGTERM, signal.SIGINT) == [signal.SIGTERM]


def test_a_failure_of_the_block_does_not_swallow_it() -> None:
    def fail() -> None:
        with delay_signals():
            signal.raise_signal(signal.SIGINT)
            raise ValueError

    with pytest.raises(KeyboardInterrupt):
        fail()


def test_other_threads_are_left_alone() -> None:
    before, seen = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        with delay_signals():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
