"""A phase's deadline begins anew while its work advances, without a message for each step."""

import pytest

from inference import phase_progress
from inference.phase_progress import PhaseProgress


def test_a_phase_is_announced_at_most_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now, announced = [100.0], list[float]()
    monkeypatch.setattr(phase_progress.time, "monotonic", lambda: now[0])
    progress = PhaseProgress(lambda: announced.append(now[0]))
    with progress.task("steps", total=30, unit="steps") as task:
        for _ in range(30):
            now[0] += 0.25
            task.advance()
    assert announced == [101.0, 102.0, 103.0, 104.0, 105.0, 106.0, 107.0]
