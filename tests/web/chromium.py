"""Chromium at the page of a server, for tests."""

import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.web.server import Server

PATIENCE_MS = 240_000
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip
expect.set_options(timeout=PATIENCE_MS)


@dataclass
class Watched:
    """A page with what it complained of and asked of other hosts."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def check(self) -> None:
        """Fail if the page complained."""
        assert self.complaints == []


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's browser, without a window."""
    program = shutil.which("chromium")
    assert program, "expected Debian's package chromium, got nothing"
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield made
        made.close()


@contextmanager
def client(
    browser: Browser, server: Server, path: str = "", ready: str = "#examples button", **context: object
) -> Iterator[Watched]:
    """A browser of its own at the server's page; fails if the page complained."""
    made: BrowserContext = browser.new_context(viewport={"width": 1280, "height": 900}, **context)  # type: ignore[arg-type]
    made.set_default_timeout(PATIENCE_MS)
    address = f"http://127.0.0.1:{server.port}/"
    watched = Watched(made.new_page())
    watched.page.on("console", lambda line: line.type == "error" and watched.complaints.append(line.text))
    watched.page.on("pageerror", lambda error: watched.complaints.append(str(error)))
    watched.page.on(
        "request",
        lambda request: request.url.startswith((address, "blob:", "data:")) or watched.complaints.append(request.url),
    )
    watched.page.goto(f"{address}{path}")
    watched.page.wait_for_selector(ready)
    yield watched
    made.close()


def photographer(folder: Path) -> Callable[[Page, str], None]:
    """Take pictures of whole pages into a folder, or into that of the variable SCREENSHOTS."""
    folder = Path(os.environ.get("SCREENSHOTS", folder))

    def take(page: Page, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with Image.open(io.BytesIO(page.screenshot(full_page=True, animations="disabled"))) as picture:
            picture.save(folder / f"{name}.webp", quality=88, method=6)

    return take
