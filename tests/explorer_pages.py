"""Pages of Orthanc Explorer in a real browser (Debian's chromium)."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Route, sync_playwright

from servers import OrthancServer

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SCREENSHOTS = os.environ.get("ORTHANC_DEID_SCREENSHOTS")  # a folder, to look at the pages
STATE = "#{page}-deid-state"

Answer = Callable[[Route], Any]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Explorer:
    """Opens pages of one Orthanc; `errors` are what its scripts throw and what the console says."""

    server: OrthancServer
    context: BrowserContext
    errors: list[str] = field(default_factory=list)

    def open(self, kind: str, uuid: str = "", routes: dict[str, Answer] | None = None) -> Page:
        """Show a study, series or instance, or a page of its own; `routes` stand in for what is asked under /deid/."""
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._note)
        for pattern, answer in (routes or {}).items():
            page.route(f"**/deid/{pattern}", answer)
        page.goto(f"{self.server.url}/app/explorer.html#{kind}" + (f"?uuid={uuid}" if uuid else ""))
        page.wait_for_selector(f"#{kind}-deid-list" if uuid else f"#{kind}.ui-page-active", state="attached")
        return page

    def _note(self, message: ConsoleMessage) -> None:
        # The browser itself writes each answer of 400 and above to the console; those are asked for here.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.errors.append(message.text)


@contextmanager
def explorer(server: OrthancServer, browser: Browser) -> Iterator[Explorer]:
    """Log in; any error of a script fails the test in the end."""
    credentials = {"username": "admin", "password": server.password}
    context = browser.new_context(http_credentials=credentials, viewport={"width": 1000, "height": 800})  # type: ignore[arg-type]  # a TypedDict
    context.set_default_timeout(15000)
    made = Explorer(server, context)
    yield made
    context.close()
    assert made.errors == []


def text_of(page: Page, selector: str) -> str:
    """Return the text that is shown."""
    return page.inner_text(selector)


def state(page: Page, kind: str) -> str:
    """Return the line with the state of the study."""
    return text_of(page, STATE.format(page=kind))


def await_text(page: Page, selector: str, *texts: str, seconds: float = 60) -> str:
    """Wait in the browser's own time, so that its timers run; return the whole text."""
    for _ in range(int(seconds * 10)):
        found = text_of(page, selector)
        if any(text in found for text in texts):
            return found
        page.wait_for_timeout(100)
    raise AssertionError(f"{selector} says {text_of(page, selector)!r}")


def await_state(page: Page, kind: str, *texts: str, seconds: float = 60) -> str:
    """Wait until the line with the state holds one of the texts."""
    return await_text(page, STATE.format(page=kind), *texts, seconds=seconds)


def picture(page: Page, name: str) -> None:
    """Keep a picture of the page where a folder for them is named."""
    if SCREENSHOTS:
        page.screenshot(path=str(Path(SCREENSHOTS, f"{name}.png")), full_page=True)


def download(page: Page, selector: str) -> tuple[str, bytes]:
    """Click and return the name and the bytes of the file that the browser saves."""
    with page.expect_download(timeout=120000) as waiting:
        page.click(selector)
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()
