"""The report on what holds up the end."""

from pipeline.cluster.stragglers import AtWork, sentence


def test_the_last_ones_are_named_with_phase_host_and_time() -> None:
    van, dog = AtWork("van_1", "sample", 200.0, "node-3"), AtWork("dog_2", "", 31.0, "")
    assert sentence([van, dog], 2) == (
        "waiting for the last 2: van_1 (sample, 3:20 min, on node-3), dog_2 (no answer, 31 s, on a lost node)"
    )
    assert sentence([van], 9).endswith(", and 8 more")
