"""The browsing page in Chromium, before the real server.

`-k everything`, with SCREENSHOTS=docs/serving BROWSE=runs/demo, writes the pictures of the documentation from a demo.
"""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.web.browse.conftest import UIDS
from tests.web.chromium import client
from tests.web.server import Server

pytestmark = pytest.mark.server
READY = ".shown"
LOAD_PICTURES = "Promise.all([...document.images].map(image => (image.loading = 'eager', image.decode())))"
NAMES_AND_KINDS = "all => all.map(one => [one.dataset.name, one.querySelector('small').textContent.split(' ').at(-1)])"


@pytest.fixture(scope="module")
def server(written: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("served"), flags=("--browse", os.environ.get("BROWSE", str(written))))
    made.start()
    yield made
    made.kill()


def test_a_dataset_is_filtered_and_its_objects_are_shown(browser: Browser, server: Server) -> None:
    with client(browser, server, "browse", READY) as watched:
        page = watched.page
        expect(page.locator(".objects li")).to_have_count(len(UIDS))
        page.get_by_role("button", name=re.compile("^corrupt")).click()
        expect(page.locator(".objects li")).to_have_count(4)
        expect(page.get_by_role("status")).to_have_text("4 objects")
        page.get_by_role("button", name=re.compile("^corrupt")).click()
        expect(page.locator(".objects li")).to_have_count(len(UIDS))
        page.get_by_label("Find in titles and uids").fill(UIDS[1])
        page.keyboard.press("Enter")
        expect(page.locator(".objects li")).to_have_count(1)
        page.locator(".objects a").click()
        expect(page.locator(".views img")).to_have_count(12)
        assert page.locator(".views img").first.evaluate("image => image.decode().then(() => image.naturalWidth)") == 16
        expect(page.get_by_role("heading", level=2)).to_contain_text("<img src=x onerror=alert(1)>")  # as text
        assert page.locator("img[src=x]").count() == 0
        page.reload()
        expect(page.locator(".views img")).to_have_count(12)
        page.go_back()
        expect(page.locator(".objects li")).to_have_count(1)
        watched.check()


def test_an_evaluation_and_a_run_are_shown(browser: Browser, server: Server) -> None:
    with client(browser, server, "browse", READY) as watched:
        page = watched.page
        page.get_by_role("link", name="runs-scores").click()
        expect(page.locator(".pair img")).to_have_count(6)
        expect(page.locator("table").last.locator("tbody tr")).to_have_count(50)
        page.get_by_role("button", name="More").click()
        page.get_by_role("button", name="More").click()
        expect(page.locator("table").last.locator("tbody tr")).to_have_count(120)
        expect(page.get_by_role("button", name="More")).to_be_hidden()
        page.get_by_role("link", name="runs-model").click()
        expect(page.locator(".curve")).to_have_count(5)
        expect(page.get_by_label(re.compile("^Training loss: from 0.5 to 0.001"))).to_be_visible()
        expect(page.locator(".grids img")).to_have_count(1)
        watched.check()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_the_photo_page_leads_to_it(browser: Browser, server: Server, scheme: str) -> None:
    with client(browser, server, color_scheme=scheme, has_touch=True) as watched:
        page = watched.page
        page.set_viewport_size({"width": 390, "height": 844})
        page.get_by_role("link", name="Datasets, evaluations and training runs").click()
        for name in ("runs-data", "runs-scores", "runs-model"):
            page.get_by_role("link", name=name).click()
            expect(page.get_by_role("heading", level=2)).to_have_text(name)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
        watched.check()


def test_everything_on_the_shelf_opens(browser: Browser, server: Server, shoot: Callable[[Page, str], None]) -> None:
    with client(browser, server, "browse", READY) as watched:
        page = watched.page
        for name, kind in page.locator(".shelf a").evaluate_all(NAMES_AND_KINDS):
            page.get_by_role("link", name=name).click()
            expect(page.get_by_role("heading", level=2)).to_have_text(name)
            page.evaluate(LOAD_PICTURES)
            shoot(page, f"browse-{kind}")
            if kind == "dataset":
                page.locator(".objects a").first.click()
                expect(page.locator(".views img")).not_to_have_count(0)
                page.evaluate(LOAD_PICTURES)
                shoot(page, "browse-object")
        watched.check()


def test_a_server_without_a_shelf_says_so(browser: Browser, tmp_path: Path) -> None:
    bare = Server(tmp_path / "served")
    bare.start()
    try:
        with client(browser, bare, "browse", "#problem:not([hidden])") as watched:
            expect(watched.page.locator("#problem")).to_contain_text("--browse FOLDER")
            watched.page.goto(watched.page.url.replace("browse", ""))
            expect(watched.page.locator("#elsewhere")).to_be_hidden()
            watched.check()
    finally:
        bare.kill()
