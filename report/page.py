"""One self-contained HTML page: sections, headline figures, tables, pictures and viewers, with everything inside it.

Whatever is not `Markup` is escaped. The page carries a content policy that forbids every request and every script
but the ones it was built with.
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
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
TEMPLATES = Path(__file__).parent / "templates"


@cache
def environment() -> Environment:
    """The templates' environment: everything escaped, controls stripped, an unknown name is an error."""
    made = Environment(
        autoescape=True,
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: value if isinstance(value, Markup) or value is None else replace_controls(str(value)),
    )
    made.globals["raw_file"] = lambda name: Markup((TEMPLATES / name).read_text(encoding="utf-8"))  # noqa: S704
    return made


def rendered(template: str, **values: Any) -> Markup:
    """A template of this room with `values`, escaped, as Markup."""
    return Markup(environment().get_template(template).render(**values))  # noqa: S704


@dataclass(frozen=True)
class Metric:
    """A headline figure: the value as shown, what it is, and one quiet line under it."""

    value: Text
    label: str
    note: Text = ""


@dataclass(frozen=True)
class Picture:
    """An image (data URI) with its alt text, the caption under it and a word in its corner; sized for layout."""

    uri: str
    alt: str
    caption: Text = ""
    tag: str = ""
    still_uri: str = ""


@dataclass
class Section:
    """One chapter of a page; blocks appear in the order they are added."""

    title: str
    lead: Text
    anchor: str
    blocks: list[Markup] = field(default_factory=list)

    def add(self, block: Markup) -> None:
        """Append finished HTML."""
        self.blocks.append(block)

    def figure(self, body: Markup, caption: Text = "", *, css_class: str = "") -> None:
        """Append a figure with a caption; `css_class` may be `wide`, `panel` or `stage`."""
        self.add(rendered("figure.html.j2", body=body, caption=caption, css_class=css_class))

    def text(self, *paragraphs: Text) -> None:
        """Append running text."""
        self.add(rendered("text.html.j2", paragraphs=paragraphs, items=()))

    def points(self, *items: Text) -> None:
        """Append a list of sentences."""
        self.add(rendered("text.html.j2", paragraphs=(), items=items))

    def table(self, head: Sequence[str], rows: Sequence[Sequence[Text]], *, label: str) -> None:
        """Append a table; the first cell of each row is its heading."""
        self.add(rendered("table.html.j2", head=head, rows=rows, label=label))

    def columns(self, *blocks: Markup, css_class: str = "columns") -> None:
        """Append blocks side by side where there is room."""
        self.add(rendered("columns.html.j2", blocks=blocks, css_class=css_class))

    def code(self, lines: Sequence[str]) -> None:
        """Append commands to copy, one a line."""
        self.add(rendered("code.html.j2", lines=lines))


class Page:
    """A page under construction; `html()` gives the whole file's text."""

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
        """Open a new section and return it for filling."""
        section = Section(title, lead, anchor=f"part-{len(self._sections) + 1}")
        self._sections.append(section)
        return section

    def script(self, source: str) -> None:
        """Include a script of ours, once however often it is asked for; nothing else in the page may run."""
        if source not in self._scripts:
            self._scripts.append(source)

    def footer(self, facts: Mapping[str, Text], closing: Text = "") -> None:
        """Set the versions and digests at the foot, and a last line."""
        self._footer = facts
        self._closing = closing

    def html(self) -> str:
        """The page as one HTML text that needs no other file."""
        hashes = [base64.b64encode(hashlib.sha256(source.encode()).digest()).decode() for source in self._scripts]
        scripts = " ".join(f"'sha256-{value}'" for value in hashes) or "'none'"
        policy = f"{POLICY}; script-src {scripts}"
        return str(
            rendered(
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
    """An `<img>` with its caption; an animated one gives way to `still_uri` for people who asked for less motion."""
    return rendered("picture.html.j2", picture=shown)


def gallery(pictures: Sequence[Picture], *, css_class: str) -> Markup:
    """Pictures in a grid; `css_class` names the grid of the style sheet (`triptych`, `tiles`, `chain`)."""
    return rendered("gallery.html.j2", pictures=pictures, css_class=css_class)
