"""The report on what holds up the end."""

from pipeline.cluster.stragglers import RunningJob, describe_stragglers


def test_the_last_ones_are_named_with_phase_host_and_time() -> None:
    van, dog = RunningJob("van_1", "sample", 200.0, "node-3"), RunningJob("dog_2", "", 31.0, "")
    assert describe_stragglers([van, dog], 2) == (
        "waiting for the last 2: van_1 (sample, 3:20 min, on node-3), dog_2 (no answer, 31 s, on a lost node)"
    )
    assert describe_stragglers([van], 9).endswith(", and 8 more")
