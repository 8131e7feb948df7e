"""The report on what holds up the end."""

from pipeline.stragglers import AtWork, Stragglers, sentence


def test_the_last_ones_are_named_with_phase_host_and_time() -> None:
    van, dog = AtWork("van_1", "sample", 200.0, "node-3"), AtWork("dog_2", "", 31.0, "")
    assert sentence([van, dog], 2) == (
        "waiting for the last 2: van_1 (sample, 3:20 min, on node-3), dog_2 (no answer, 31 s, on a lost node)"
    )
    assert sentence([van], 9).endswith(", and 8 more")


def test_they_are_shown_often_and_said_ever_more_seldom() -> None:
    clock = [0.0]
    stragglers = Stragglers(now=lambda: clock[0])
    said, shown = [], 0
    for second in range(2000):
        clock[0] = float(second)
        show, say = stragglers.due(last_ones=True)
        shown += show
        said += [second] if say else []
    assert said == [30, 90, 210, 450, 930, 1530]
    assert shown == 399
    assert stragglers.due(last_ones=False) == (False, False)
    assert stragglers.due(last_ones=True) == (False, False), "the next end of a queue begins anew"
