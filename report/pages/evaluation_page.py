"""The page of `zero123 evaluate`: a model's novel views beside the truth and beside baselines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from report.contact_sheet import contact_sheet
from report.escape import fill
from report.images import Pixels, image_uri
from report.numbers import Figures
from report.page import Metric, Page, Picture, picture, render_template
from report.pages.answers import MEASURES, answers_table

QUALITY = 88


@dataclass(frozen=True, kw_only=True)
class ShownPair:
    """A pair: its title, and its pictures uint8 (H, W, 3) by label."""

    title: str
    pictures: Mapping[str, Pixels]


@dataclass(frozen=True, kw_only=True)
class EvaluationFacts:
    """Results of an evaluation. `scores` are plain values as in novel_views.json; its rows may be left out.

    `notes` are sentences about the figures' basis; `about` (versions, digests) goes to the foot.
    """

    dataset: str
    split: str
    scores: Mapping[str, Any]
    notes: Sequence[str]
    shown: Sequence[ShownPair]
    about: Mapping[str, str]


def evaluation_page(facts: EvaluationFacts) -> str:
    """Write the report as self-contained HTML."""
    scores = facts.scores
    # Without the rows, which no sentence names.
    figures = Figures({key: scores[key] for key in ("pairs", "margin_db", "minimum_margin_db", *MEASURES)})
    lead = fill(
        "The model was asked for views of objects of split {} of {}, from a photo each.", facts.split, facts.dataset
    )
    page = Page("Novel views against the truth", kicker="zero123 evaluate", lead=lead)
    asked = fill("{} asked for", figures.show("minimum_margin_db", "signed_db"))
    page.metrics(
        Metric(figures.show("margin_db", "signed_db"), "PSNR over the better of input and white", asked),
        Metric(figures.show("pairs", "count"), "held-out views"),
    )
    section = page.section("Beside answers that need no model", "The mean of each measure over all views.")
    section.add(answers_table(figures, scores["psnr_db"], [key for key in MEASURES if scores[key]]))
    section.text(*facts.notes)
    if facts.shown:
        section = page.section("Some of the views", "Evenly from all of them, in order of the objects’ uids.")
        section.columns(*map(pair_figure, facts.shown), css_class="pairs")
    page.footer(facts.about, "This page is a single file. It loads nothing, and it works without a network.")
    return page.html()


def pair_figure(shown: ShownPair) -> Markup:
    """Make a figure of a pair: its pictures side by side, labelled."""
    strip = contact_sheet(list(shown.pictures.values()), labels=list(shown.pictures), columns=len(shown.pictures))
    alt = f"{shown.title}: {', '.join(shown.pictures)}"
    body = picture(Picture(image_uri(strip, quality=QUALITY), alt))
    return render_template("figure.html.j2", body=body, caption=shown.title, css_class="stage")
