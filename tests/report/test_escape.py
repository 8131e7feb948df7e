import csv
import io
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from base.text import replace_controls
from report.escape import csv_cell, fill, html, inv_csv_cell, markdown
from report.numbers import Figures, bytes_text, flatten, seconds_text, short_count_text, signed_db_text
from report.page import Metric, Page, render_template
from tests.report.facts import HOSTILE


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text += data


@given(st.text())
def test_any_text_is_inert_in_html(text: str) -> None:
    for shown in (html(text), fill("{}", text), fill("{a}", a=text)):
        parsed = Tags(str(shown))
        assert not parsed.tags
        assert '"' not in shown
        assert not set(shown) & {"\x00", "\x1b", "\u202e"}


def test_our_own_markup_passes_and_foreign_text_in_it_does_not() -> None:
    assert fill("<b>{}</b>", "<i>") == Markup("<b>&lt;i&gt;</b>")
    assert html(Markup("<b>")) == "<b>"


def test_templates_escape_every_value() -> None:
    shown = render_template("table.html.j2", head=[HOSTILE], rows=[(HOSTILE, HOSTILE)], label=HOSTILE)
    assert Tags(str(shown)).tags == ["div", "table", "thead", "tr", "th", "tbody", "tr", "th", "td"]
    assert "\x1b" not in shown


def test_every_block_of_a_page_escapes() -> None:
    page = Page(HOSTILE, kicker=HOSTILE, lead=HOSTILE)
    page.metrics(Metric(HOSTILE, HOSTILE, HOSTILE))
    section = page.section(HOSTILE, HOSTILE)
    section.text(HOSTILE)
    section.points(HOSTILE)
    section.code([HOSTILE])
    section.figure(Markup("<i></i>"), HOSTILE)
    page.footer({HOSTILE: HOSTILE}, HOSTILE)
    parsed = Tags(page.html())
    assert not {"script", "img"} & set(parsed.tags)
    assert parsed.text.count("<script>alert('x')</script>") == 16


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "  =1", "\r=1"])
def test_csv_formulas_are_neutralised(text: str) -> None:
    row = io.StringIO()
    csv.writer(row).writerow([csv_cell(text)])
    assert next(csv.reader(io.StringIO(row.getvalue())))[0][:1] not in ("=", "+", "-", "@", "\t", "\r", "\n", " ")


@pytest.mark.parametrize("text", ["-3.5", "+1e-3", "7", "", "a=b", "O'Hara"])
def test_csv_keeps_plain_values(text: str) -> None:
    assert csv_cell(text) == text


CELLS = st.lists(st.sampled_from(["'", " ", "=", "+", "-", "@", "\t", "\n", "\x1b", "1", ".", "a", "é"])).map("".join)


@given(st.text() | CELLS)
def test_a_csv_cell_is_read_back(text: str) -> None:
    assert inv_csv_cell(csv_cell(text)) == replace_controls(text)


@pytest.mark.parametrize("text", ["'", "''", "'quoted'", "'-3", "O'Hara"])
def test_apostrophes_that_no_cell_was_given_stay(text: str) -> None:
    assert inv_csv_cell(text) == text


def test_markdown_is_one_inert_line() -> None:
    shown = markdown("a|b\n# [x](y) <script> `z`\x1b")
    assert "\n" not in shown
    assert shown.startswith(r"a\|b \# \[x\]\(y\) \<script\> \`z\`")


def test_figures_show_exact_values_and_say_what_is_missing() -> None:
    figures = Figures({"a": {"b": [1.25, None]}, "name": "x"})
    assert figures.show("a.b.0", "db") == '<data data-key="a.b.0" value="1.25">1.25 dB</data>'
    assert figures.show("a.b.1", "db") == '<data data-key="a.b.1" value="">–</data>'
    with pytest.raises(KeyError):
        figures.show("a.c", "db")
    with pytest.raises(TypeError, match="expected a number under name"):
        figures.value("name")
    assert flatten({"a": {"b": [1, {"c": 2}]}}) == {"a.b.0": 1, "a.b.1.c": 2}


def test_numbers_read_well() -> None:
    assert [seconds_text(value) for value in (0.424, 9.5, 42.4, 59.6, 245, 7380)] == [
        "0.42 s", "9.5 s", "42 s", "1 min 00 s", "4 min 05 s", "2 h 03 min",
    ]  # fmt: skip
    assert [bytes_text(value) for value in (512, 71_000, 3_412_000, 1.5e9)] == ["512 B", "69 KiB", "3.3 MiB", "1.4 GiB"]
    assert [short_count_text(value) for value in (860, 12_400, 1_930_000)] == ["860", "12.4 thousand", "1.93 million"]
    assert [signed_db_text(value) for value in (1.52, -0.3)] == ["+1.52 dB", "−0.30 dB"]
