"""A page in headless Chromium: what it asks for, what it complains about, how wide it is."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import ConsoleMessage, sync_playwright
from playwright.sync_api import Page as Tab

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SIZES = {"laptop": (1280, 900), "phone": (390, 844)}
_OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
_OPTIONS += ("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage")


@dataclass
class Page:
    """One page. `requests` are the addresses it asked for, `errors` what the console showed."""

    tab: Tab
    width: int
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tab.on("request", lambda request: self.requests.append(request.url))
        self.tab.on("pageerror", lambda error: self.errors.append(str(error)[:500]))
        self.tab.on("console", self._notice)

    def _notice(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "assert"):
            self.errors.append(message.text[:500])

    def wait(self) -> None:
        """Give the page the time to draw."""
        self.evaluate("new Promise(done => setTimeout(() => requestAnimationFrame(done), 300))")

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        return self.tab.evaluate(expression)

    def overflow(self) -> float:
        """Return by how many pixels the page, or a paragraph of it, is wider than the screen."""
        # a phone zooms out until a page that is too wide fits: only the size that was asked for stays as it is
        page = "document.documentElement"
        ends = "[...document.querySelectorAll('p')].map(text => text.getBoundingClientRect().right)"
        widest = f"Math.max({page}.scrollWidth, ...{ends})"
        return self.evaluate(f"{widest} - Math.min({page}.clientWidth, {self.width})")


@contextmanager
def opened(path: Path, size: str = "laptop") -> Iterator[Page]:
    """Open a file at a size of SIZES, and wait until it has loaded; a phone has a small screen and a finger."""
    phone = size == "phone"
    width, height = SIZES[size]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_OPTIONS))
        try:
            screen = {"width": width, "height": height}
            tab = browser.new_context(viewport=screen, is_mobile=phone, has_touch=phone).new_page()
            page = Page(tab, width)
            tab.goto(path.resolve().as_uri())
            page.wait()
            yield page
        finally:
            browser.close()
