import base64
import hashlib
import json
import re
from dataclasses import replace

import pytest

from report.numbers import flatten
from report.pages import demo_words
from report.pages.demo_page import demo_page
from tests.report.facts import demo_facts, with_psnr
from tests.report.reading import Reading


@pytest.fixture(scope="module")
def page() -> str:
    return demo_page(demo_facts())


def test_every_number_in_the_page_is_the_json_s(page: str) -> None:
    numbers = flatten(json.loads(json.dumps(demo_facts().numbers(), allow_nan=False)))
    shown = Reading(page).data
    assert len(shown) > 30
    for key, values in shown.items():
        for value in values:
            assert value == ("" if numbers[key] is None else repr(numbers[key])), key


def test_headline_numbers_are_in_the_page(page: str) -> None:
    shown = Reading(page).data
    for key in ("novel_views.margin_db", "mesh.iou", "total.seconds", "total.peak_bytes", "data.views", "data.pairs"):
        assert key in shown
    assert demo_facts().numbers()["novel_views"]["margin_db"] == 1.5
    assert demo_facts().numbers()["total"] == {"seconds": 73.75, "peak_bytes": 2_500_000_000}


def test_every_measure_of_every_answer_is_in_the_page(page: str) -> None:
    shown = Reading(page).data
    for measure, values in demo_facts().scores.means.items():
        assert {f"novel_views.{measure}.{answer}" for answer in values} <= set(shown)
    assert "1 − HaarPSI" in Reading(page).text
    assert "CLIP distance" not in Reading(page).text


def test_page_needs_nothing_from_outside(page: str) -> None:
    reading = Reading(page)
    assert not reading.open
    assert reading.targets
    for target in reading.targets:
        assert target.startswith("data:image/") or re.fullmatch(r"#[\w-]+", target), target[:60]
    style = re.search(r"<style>(.*?)</style>", page, re.S)
    assert style is not None
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    assert not {tag for tag, _ in reading.elements} & {"link", "iframe", "object", "embed", "base", "form"}


def test_only_the_viewer_s_script_may_run(page: str) -> None:
    reading = Reading(page)
    policy = next(
        meta["content"] for meta in reading.all("meta") if "content" in meta and "default-src" in meta["content"]
    )
    running = [body for kind, body in re.findall(r"<script([^>]*)>(.*?)</script>", page, re.S) if "type=" not in kind]
    assert len(running) == 1
    digest = base64.b64encode(hashlib.sha256(running[0].encode()).digest()).decode()
    assert policy.startswith("default-src 'none';")
    assert policy.endswith(f"script-src 'sha256-{digest}'")


def test_hostile_text_is_shown_and_means_nothing(page: str) -> None:
    reading = Reading(page)
    assert "<script>alert" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert "<script>alert('x')</script>" in reading.text
    assert "{{ 7*7 }}" in reading.text
    assert not [attrs for _, attrs in reading.elements if any(name.startswith("on") for name in attrs)]
    assert all("evil.example" not in target for target in reading.targets)


def test_every_picture_has_a_text(page: str) -> None:
    reading = Reading(page)
    assert all(attrs.get("alt") for attrs in reading.all("img"))
    assert all(attrs.get("aria-label") for attrs in reading.all("svg") + reading.all("canvas"))
    assert any(attrs.get("media") == "(prefers-reduced-motion: reduce)" for attrs in reading.all("source"))


@pytest.mark.parametrize(
    ("model", "said", "not_said"),
    [
        (20.5, "It also beats the mean", "does not beat"),
        (17.5, "less than the 1.00 dB asked for", "goal reached (1.00 dB)"),
        (16.0, "no closer to the truth than a trivial answer (−1.00 dB)", "goal reached (1.00 dB)"),
        (float("inf"), "could not be measured", "It also beats"),
    ],
)
def test_words_follow_the_numbers(model: float, said: str, not_said: str) -> None:
    text = Reading(demo_page(with_psnr(demo_facts(), model=model))).text
    assert said in text
    assert not_said not in text


def test_loss_that_rose_is_said_to_have_risen() -> None:
    facts = demo_facts()
    risen = replace(facts, train=replace(facts.train, loss=facts.train.loss[::-1]))
    assert "did not fall" in Reading(demo_page(risen)).text
    assert "did not fall" not in Reading(demo_page(facts)).text


def test_the_loss_curve_s_caption_fits_short_and_long_logs() -> None:
    assert demo_words.loss_caption(1) == "Each point is the mean since the point before."
    assert demo_words.loss_caption(7).startswith("The mean over 7 points")


def test_a_run_that_reused_its_views_says_so() -> None:
    facts = demo_facts()
    again = replace(facts, render=replace(facts.render, rendered=0, reused=2))
    assert "nothing was rendered twice" in Reading(demo_page(again)).text


def test_a_mesh_below_its_goal_is_called_so() -> None:
    facts = demo_facts()
    poor = replace(facts, mesh=replace(facts.mesh, iou=0.5))
    text = Reading(demo_page(poor)).text
    assert "goal missed (0.800)" in text
    assert "only 0.500" in text
    assert poor.numbers()["passed"] is False


def test_the_page_says_how_the_mesh_was_made() -> None:
    facts = demo_facts()
    assert "was fitted in 40 steps" in Reading(demo_page(facts)).text
    fitted = replace(facts, mesh=replace(facts.mesh, steps=0, views=32))
    assert "sampled 32 views all around" in Reading(demo_page(fitted)).text


def test_the_page_names_the_model_that_training_began_with() -> None:
    facts = demo_facts()
    assert "Expect it to fail on a photo of your own" in Reading(demo_page(facts)).text
    begun = Reading(demo_page(replace(facts, train=replace(facts.train, init="mini")))).text
    assert "The training began with the weights of mini." in begun
    assert "worse than mini" in begun
