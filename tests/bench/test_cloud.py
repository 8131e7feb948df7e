"""What a dataset costs on paper."""

from bench.cloud import Machine, break_even_s, estimate, seconds_per_view

GPUS = Machine("m", 4, "G", 8, 36.0, "2024-11")


def test_a_machine_of_cores_and_one_of_gpus_by_hand() -> None:
    assert seconds_per_view(Machine("c", 64, "", 0, 1.0, "2024-11"), 3.2, {}) == 0.05
    assert seconds_per_view(GPUS, 3.2, {"other": 1.0}) is None
    assert estimate(GPUS, 0.5, views=7200, machines=2) == {
        "s_per_view": 0.5, "views_per_hour": 7200.0, "days": 1 / 48, "usd": 36.0,
    }  # fmt: skip


def test_break_even_costs_are_equal() -> None:
    seconds = seconds_per_view(GPUS, 0.0, {"G": break_even_s(GPUS, 0.25)})
    assert seconds is not None
    assert estimate(GPUS, seconds, views=100, machines=1)["usd"] == 25.0
