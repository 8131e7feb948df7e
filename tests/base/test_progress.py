"""Progress and text: readable anywhere, harmless everywhere."""

import contextlib
import io
import time

import pytest

from base.measure import Meter, tree_memory_mb
from base.progress import PlainProgress, RichProgress, format_duration
from base.text import replace_controls


def test_plain_progress_ends_with_the_full_count() -> None:
    stream = io.StringIO()
    with PlainProgress(stream).task("render", total=3, unit="views", done=1) as task:
        task.advance(1)
        task.advance(1, note="van \x1b[31m")
    assert stream.getvalue().splitlines()[-1].startswith("render: 3/3 views, ")
    assert "\x1b" not in stream.getvalue()


def test_a_bar_shows_name_count_and_note() -> None:
    stream = io.StringIO()
    progress = RichProgress(stream)
    with progress.task("train", total=10, unit="images") as task:
        task.advance(10, note="loss 0.1")
        task.show("waiting for the \x1blast 2")
    assert "train" in stream.getvalue()
    assert "10/10 images" in stream.getvalue()
    assert "waiting for the \N{REPLACEMENT CHARACTER}last 2" in stream.getvalue()
    progress.say("[bold]no markup")
    assert "[bold]no markup" in stream.getvalue()


@pytest.mark.parametrize(("after_s", "rate"), [(0.0005, "2,000.0"), (0.4, "2.5"), (30.0, "0.033")])
def test_a_slow_rate_is_told_too(after_s: float, rate: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = iter([100.0, 100.0 + after_s])
    monkeypatch.setattr(time, "monotonic", lambda: next(clocks))
    stream = io.StringIO()
    PlainProgress(stream).task("render", total=1, unit="views").advance()
    assert stream.getvalue() == f"render: 1/1 views, {rate} views/s\n"


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0 s"), (59, "59 s"), (200, "3:20 min"), (7500, "2:05 h")])
def test_durations_in_words(seconds: float, words: str) -> None:
    assert format_duration(seconds) == words


def test_control_characters_do_not_reach_a_terminal() -> None:
    assert replace_controls("a\x1b]0;title\x07b\u202ec\td\n") == "a\N{REPLACEMENT CHARACTER}]0;title" + (
        "\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c\td\n"
    )


def test_a_stage_counts_its_own_memory_even_when_it_fails() -> None:
    meter = Meter()
    before = tree_memory_mb()
    with contextlib.suppress(RuntimeError), meter.stage("grow"):
        raise RuntimeError(bytearray(b"x" * 120_000_000))
    assert meter.stages[0].name == "grow"
    assert meter.stages[0].peak_mb > before + 100
