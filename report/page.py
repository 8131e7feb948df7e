"""A self-contained HTML page: sections, headline figures, tables, pictures and viewers.

All text except `Markup` is escaped. The page's content policy forbids every request, and every script except its own.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from base.text import replace_controls

Text = str | Markup
NOTHING = "'none'"
POLICY = f"default-src {NOTHING}; img-src data:; style-src 'unsafe-inline'; base-uri {NOTHING}; form-action {NOTHING}"
TEMPLATES = Path(__file__).parent / "templates"


@cache
def environment() -> Environment:
    """Make the environment of the templates: text escaped, control characters stripped, unknown names are errors."""
    made = Environment(
        autoescape=True,
        loader=FileSystemLoader(TEMPLATES),
        # A misspelled name must fail instead of showing nothing.
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: value if isinstance(value, Markup) or value is None else replace_controls(str(value)),
    )
    made.globals["raw_file"] = lambda name: Markup((TEMPLATES / name).read_text(encoding="utf-8"))  # noqa: S704
    return made


def render_template(template: str, **values: Any) -> Markup:
    """Render a template of this folder with escaped `values`."""
    return Markup(environment().get_template(template).render(**values))  # noqa: S704


@dataclass(frozen=True)
class Metric:
    """A headline figure: the value as shown, its label, and a small note under it."""

    value: Text
    label: str
    note: Text = ""


@dataclass(frozen=True)
class Picture:
    """An image (data URI) with its alt text, a caption, a word in its corner, and a still image for less motion."""

    uri: str
    alt: str
    caption: Text = ""
    tag: str = ""
    still_uri: str = ""


@dataclass
class Section:
    """A chapter of a page. Blocks appear in the order of their addition."""

    title: str
    lead: Text
    anchor: str
    blocks: list[Markup] = field(default_factory=list)

    def add(self, block: Markup) -> None:
        """Append finished HTML."""
        self.blocks.append(block)

    def figure(self, body: Markup, caption: Text = "", *, css_class: str = "") -> None:
        """Append a figure with a caption; `css_class` may be `wide`, `panel` or `stage`."""
        self.add(render_template("figure.html.j2", body=body, caption=caption, css_class=css_class))

    def text(self, *paragraphs: Text) -> None:
        """Append running text."""
        self.add(render_template("text.html.j2", paragraphs=paragraphs, items=()))

    def points(self, *items: Text) -> None:
        """Append a list of sentences."""
        self.add(render_template("text.html.j2", paragraphs=(), items=items))

    def table(self, head: Sequence[str], rows: Sequence[Sequence[Text]], *, label: str) -> None:
        """Append a table; the first cell of each row is its heading."""
        self.add(render_template("table.html.j2", head=head, rows=rows, label=label))

    def columns(self, *blocks: Markup, css_class: str = "columns") -> None:
        """Append blocks side by side where the window is wide enough."""
        self.add(render_template("columns.html.j2", blocks=blocks, css_class=css_class))

    def code(self, lines: Sequence[str]) -> None:
        """Append commands to copy, each on a line."""
        self.add(render_template("code.html.j2", lines=lines))


class Page:
    """A page under construction. `html()` returns the text of the file."""

    def __init__(self, title: str, *, kicker: str = "", lead: Text = "") -> None:
        self.title = title
        self.kicker = kicker
        self.lead = lead
        self._hero: Markup = Markup("")
        self._metrics: tuple[Metric, ...] = ()
        self._sections: list[Section] = []
        self._scripts: list[str] = []
        self._footer: Mapping[str, Text] = {}
        self._closing: Text = ""

    def hero(self, body: Markup) -> None:
        """Put a picture under the title."""
        self._hero = body

    def metrics(self, *metrics: Metric) -> None:
        """Set the headline figures."""
        self._metrics = metrics

    def section(self, title: str, lead: Text = "") -> Section:
        """Open a new section and return it."""
        section = Section(title, lead, anchor=f"part-{len(self._sections) + 1}")
        self._sections.append(section)
        return section

    def script(self, source: str) -> None:
        """Include a script of ours once, even if asked for again; no other script may run in the page."""
        if source not in self._scripts:
            self._scripts.append(source)

    def footer(self, facts: Mapping[str, Text], closing: Text = "") -> None:
        """Set the versions and digests at the foot, and a last line."""
        self._footer = facts
        self._closing = closing

    def html(self) -> str:
        """Write the page as HTML that needs no other file."""
        # Scripts are allowed by their digest, so text that slips in as a script does not run.
        hashes = [base64.b64encode(hashlib.sha256(source.encode()).digest()).decode() for source in self._scripts]
        scripts = " ".join(f"'sha256-{value}'" for value in hashes) or NOTHING
        policy = f"{POLICY}; script-src {scripts}"
        return str(
            render_template(
                "page.html.j2",
                page=self,
                policy=policy,
                hero=self._hero,
                metrics=self._metrics,
                sections=self._sections,
                scripts=[Markup(source) for source in self._scripts],  # noqa: S704
                footer=self._footer,
                closing=self._closing,
            )
        )


def picture(shown: Picture) -> Markup:
    """Make an `<img>` with its caption. Readers with reduced motion see `still_uri` instead of an animation."""
    return render_template("picture.html.j2", picture=shown)


def gallery(pictures: Sequence[Picture], *, css_class: str) -> Markup:
    """Arrange pictures in a grid; `css_class` names the grid of the style sheet (`triptych`, `tiles`, `chain`)."""
    return render_template("gallery.html.j2", pictures=pictures, css_class=css_class)
