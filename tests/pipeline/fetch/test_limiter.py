"""The buckets of requests, on a clock of our own."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.fetch.limiter import RETRY_AFTER_CAP_S, Buckets, bucket_key


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@given(st.lists(st.floats(0.0, 30.0), min_size=1, max_size=60), st.integers(1, 10), st.floats(1.0, 60.0))
def test_requests_per_window_are_bounded(pauses: list[float], requests: int, window_s: float) -> None:
    """A full bucket at the window's start, and what flows in during it."""
    clock = Clock()
    buckets, made = Buckets(requests, window_s, clock), list[float]()
    for pause in pauses:
        clock.now += pause
        made.append(clock.now + buckets.take("hub"))
    for start in made:
        within = sum(start <= at < start + window_s * (1 - 1e-9) for at in made)
        assert within <= 2 * requests + 1


def test_a_bucket_fills_evenly_and_never_over() -> None:
    clock = Clock()
    buckets = Buckets(2, 10.0, clock)
    assert [buckets.take("hub") for _ in range(4)] == [0.0, 0.0, 5.0, 10.0]
    assert buckets.take("another") == 0.0
    clock.now += 1000.0
    assert [buckets.take("hub") for _ in range(3)] == [0.0, 0.0, 5.0]


def test_closed_bucket_opens_within_the_cap() -> None:
    clock = Clock()
    buckets = Buckets(100, 1.0, clock)
    buckets.close("hub", 7.0)
    buckets.close("hub", 3.0)
    assert buckets.take("hub") == 7.0
    clock.now += 7.0
    assert buckets.take("hub") == 0.0
    buckets.close("hub", 1e9)
    assert buckets.take("hub") == RETRY_AFTER_CAP_S


def test_buckets_are_by_server_credential_and_address() -> None:
    url = "https://hub.example/a"
    keys = {
        bucket_key(url, "", shared_address=True),
        bucket_key(url, "", shared_address=False),
        bucket_key(url, "secret", shared_address=True),
        bucket_key("https://other.example/a", "", shared_address=True),
    }
    assert len(keys) == 4
    assert bucket_key(url, "secret", shared_address=False) in keys
    assert "secret" not in "".join(keys)
