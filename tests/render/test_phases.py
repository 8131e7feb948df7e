"""The time of an object by phase: of a real render, and of logs."""

import pytest

from base.outcomes import Outcome
from base.stopwatch import Stopwatch
from render.phases import PHASES, measure_phases
from render.run import render_views
from tests.render.conftest import EXAMPLES

REPORT = """
Fra:1 Mem:39.06M | Scene, ViewLayer | Sample 16/16
Time (in seconds):
                                       Wall              Average
          Path Tracing             1.500000             0.093750
              Denoiser             0.250000             0.250000
        Display Update             0.000004             0.000004

  Total: 1.750004
"""


def test_cycles_own_reports_split_the_views() -> None:
    measured = {"import": 0.5, "normalise": 0.1, "prepare": 0.2, "view": 4.0, "encode": 0.3}
    seconds = measure_phases(1.0, measured, REPORT * 2)
    assert list(seconds) == list(PHASES)
    expected = {"start": 1.0, "import": 0.5, "normalise": 0.1, "build": 0.7, "sample": 3.0, "denoise": 0.5}
    assert seconds == pytest.approx({**expected, "encode": 0.3})
    assert sum(seconds.values()) == pytest.approx(1.0 + sum(measured.values()))


def test_an_object_that_ended_early_has_the_phases_it_came_to() -> None:
    assert measure_phases(0.0, {"import": 0.5}, "") == {"start": 0.0, "import": 0.5}


def test_a_stopwatch_adds_up_what_comes_again() -> None:
    watch = Stopwatch("import")
    for phase in ("prepare", "view", "encode", "view"):
        watch.begin(phase)
    watch.stop()
    assert (watch.phase, list(watch.seconds)) == ("view", ["import", "prepare", "view", "encode"])
    assert list(measure_phases(0.5, watch.seconds, "")) == [name for name in PHASES if name != "normalise"]


@pytest.mark.parametrize("denoised", [True, False])
def test_every_phase_of_a_render_is_told(settings, blender, tmp_path, denoised) -> None:
    chosen = settings(hw=[96, 96], denoise={"enabled": denoised})
    result = render_views(blender, EXAMPLES / "avocado.glb", "avocado", chosen, 0, tmp_path)
    assert result.outcome is Outcome.OK
    assert list(result.seconds) == list(PHASES)
    assert all(result.seconds[name] > 0 for name in PHASES if name not in ("start", "denoise"))
    assert (result.seconds["denoise"] > 0) is denoised
