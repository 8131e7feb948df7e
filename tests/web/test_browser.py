"""The page in Chromium, before the real server with the packaged model.

SCREENSHOTS=docs/serving has it write the pictures of the documentation.
"""

import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.web.chromium import PATIENCE_MS, client
from tests.web.conftest import picture_bytes
from tests.web.server import Server

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("served"))
    made.start()
    yield made
    made.kill()


def use_example(page: Page, number: int = 0) -> None:
    page.locator("#examples button").nth(number).click()
    good_view(page)


def good_view(page: Page) -> str:
    """Wait for the good view and return its address."""
    expect(page.locator("#quality[data-quality=good]")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator(".stage.busy")).to_have_count(0, timeout=PATIENCE_MS)
    return str(page.locator("#view").get_attribute("src"))


def test_photo_view_orbit_mesh_and_download(
    browser: Browser, server: Server, shoot: Callable[[Page, str], None]
) -> None:
    with client(browser, server) as watched:
        page = watched.page
        page.locator("#examples img").last.evaluate("image => image.decode()")
        shoot(page, "start")
        use_example(page)
        before = good_view(page)
        page.locator("#right").fill("-60")
        expect(page.locator("#view")).not_to_have_attribute("src", before, timeout=PATIENCE_MS)
        after = good_view(page)
        assert after != before
        page.get_by_role("button", name="Orbit").click()
        expect(page.locator(".job figure")).to_have_count(13, timeout=PATIENCE_MS)
        shoot(page, "view")
        page.get_by_role("button", name="Mesh").click()
        expect(page.locator("model-viewer")).to_have_js_property("loaded", value=True, timeout=PATIENCE_MS)
        shoot(page, "mesh")
        with page.expect_download() as download:
            page.get_by_text("Download everything").click()
        with zipfile.ZipFile(download.value.path()) as archive:
            names = archive.namelist()
        assert any(name.endswith("object.glb") for name in names)
        assert any(name.endswith("orbit.webp") for name in names)
        watched.check()


def test_a_bad_file_is_a_sentence_and_the_page_goes_on(browser: Browser, server: Server, tmp_path: Path) -> None:
    bad = tmp_path / "photo.png"
    bad.write_bytes(b"no picture at all")
    with client(browser, server) as watched:
        page = watched.page
        page.set_input_files("#file", bad)
        expect(page.locator("#problem")).to_contain_text("something else")
        good = tmp_path / "good.png"
        good.write_bytes(picture_bytes(side=200))
        page.set_input_files("#file", good)
        good_view(page)
        expect(page.locator("#problem")).to_be_hidden()
        assert [line for line in watched.complaints if "422" not in line] == []


def test_two_clients_at_once_see_their_own(browser: Browser, server: Server) -> None:
    with client(browser, server) as first, client(browser, server) as second:
        first.page.locator("#examples button").nth(1).click()
        second.page.locator("#examples button").nth(2).click()
        addresses = {good_view(watched.page).split("/jobs/")[0] for watched in (first, second)}
        assert len(addresses) == 2
        first.check()
        second.check()


def test_a_reload_and_a_link_bring_the_same_picture(browser: Browser, server: Server, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(picture_bytes(side=150))
    with client(browser, server) as watched:
        page = watched.page
        page.set_input_files("#file", photo)
        good_view(page)
        page.locator("#up").fill("30")
        page.locator("#seed").fill("5")
        expect(page).to_have_url(re.compile("seed=5"))
        page.reload()  # in the middle of the sampling
        address = good_view(page)
        assert page.locator("#up").input_value() == "30"
        with client(browser, server) as other:
            other.page.goto(page.url)
            other.page.reload()
            assert good_view(other.page) == address
        watched.check()


def test_a_killed_server_is_forgiven_when_it_is_back(browser: Browser, server: Server) -> None:
    with client(browser, server) as watched:
        page = watched.page
        use_example(page, 3)
        server.kill()
        page.locator("#right").fill("90")
        expect(page.locator("#problem")).to_contain_text("does not answer", timeout=PATIENCE_MS)
        server.start()
        page.locator("#right").fill("95")
        good_view(page)
        expect(page.locator("#problem")).to_be_hidden()


def test_a_doubtful_cut_out_is_corrected_with_the_brush(browser: Browser, server: Server, tmp_path: Path) -> None:
    photo = tmp_path / "empty.png"
    Image.new("RGB", (200, 200), (190, 190, 190)).save(photo)
    with client(browser, server) as watched:
        page = watched.page
        page.set_input_files("#file", photo)
        expect(page.locator("#doubt")).to_contain_text("none that stands out")
        page.get_by_role("button", name="Paint the object").click()
        page.locator("#brush-size").fill("20")
        page.locator("#brush").click()
        page.get_by_role("button", name="Apply").click()
        expect(page.locator("#about-cut")).to_contain_text("your mask")
        good_view(page)
        watched.check()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(browser: Browser, server: Server, shoot: Callable[[Page, str], None], scheme: str) -> None:
    with client(browser, server, color_scheme=scheme, has_touch=True) as watched:
        page = watched.page
        page.set_viewport_size({"width": 390, "height": 844})
        use_example(page, 1)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(15, 17, 21)"}[scheme]
        shoot(page, f"phone-{scheme}")
        watched.check()


def test_it_can_be_used_by_keyboard(browser: Browser, server: Server) -> None:
    with client(browser, server) as watched:
        page = watched.page
        page.locator("#examples button").first.focus()
        page.keyboard.press("Enter")
        address = good_view(page)
        page.locator("#right").focus()
        page.keyboard.press("ArrowRight")
        expect(page.locator("#right-value")).to_have_text("+45°")
        expect(page.locator("#view")).not_to_have_attribute("src", address, timeout=PATIENCE_MS)
        watched.check()
