"""The entry in Orthanc Explorer, in a real browser (Debian's chromium)."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, sync_playwright

from instances import instance
from servers import MAIN, OrthancServer, wait_for

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
DEID = "intake: {automatic: false, reconcile_s: 1}\n"
SCREENSHOTS = os.environ.get("ORTHANC_DEID_SCREENSHOTS")  # a folder, to look at the pages
STATE = "#{page}-deid-state"
Show = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    server = OrthancServer(tmp_path_factory.mktemp("orthanc"), script=MAIN, deid=DEID)
    with server:
        wait_for(lambda: server.get("/deid/health").ok, 60, "the service answers")
        yield server


@pytest.fixture
def uploaded(server: OrthancServer) -> dict[str, str]:
    answer: dict[str, str] = server.upload(instance()).json()
    return answer


@pytest.fixture
def show(server: OrthancServer, browser: Browser) -> Iterator[Show]:
    """Answer a function that opens a page of Orthanc Explorer; errors in its scripts fail the test."""
    credentials = {"username": "admin", "password": server.password}
    context = browser.new_context(http_credentials=credentials, viewport={"width": 1000, "height": 800})  # type: ignore[arg-type]  # a TypedDict
    context.set_default_timeout(15000)
    errors: list[str] = []

    def open_page(kind: str, uuid: str, answer: Callable[[Route], None] | None = None) -> Page:
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        if answer:
            page.route("**/deid/studies/**", answer)
        page.goto(f"{server.url}/app/explorer.html#{kind}?uuid={uuid}")
        page.wait_for_selector(f"#{kind}-deid")
        return page

    yield open_page
    context.close()
    assert errors == []


def state(page: Page, kind: str) -> str:
    return page.inner_text(STATE.format(page=kind))


def await_text(page: Page, kind: str, *texts: str, seconds: float = 60) -> None:
    """Wait in the browser's own time, so that its timers run."""
    for _ in range(int(seconds * 10)):
        if any(text in state(page, kind) for text in texts):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"the state is {state(page, kind)!r}")


def picture(page: Page, name: str) -> None:
    if SCREENSHOTS:
        page.screenshot(path=str(Path(SCREENSHOTS, f"{name}.png")), full_page=True)


@pytest.mark.parametrize("kind", ["study", "series"])
def test_a_click_processes_the_study_and_its_state_is_shown(
    server: OrthancServer, uploaded: dict[str, str], show: Show, kind: str
) -> None:
    page = show(kind, uploaded["ParentStudy" if kind == "study" else "ParentSeries"])
    await_text(page, kind, "not processed yet", "waiting")
    picture(page, f"{kind}-before")
    page.click(f"#{kind}-deid")
    await_text(page, kind, "done")
    picture(page, f"{kind}-done")
    study = server.get(f"/deid/studies/{uploaded['ParentStudy']}").json()
    assert study["status"] == "done"
    page.click(f"{STATE.format(page=kind)} a")
    page.wait_for_url(f"**#study?uuid={study['output']}")
    await_text(page, "study", "this study is the result")


def test_the_reason_of_a_quarantine_is_shown_as_text(uploaded: dict[str, str], show: Show) -> None:
    reason = "<img src=x onerror=\"document.title='broken'\">"
    body = json.dumps({"status": "quarantined", "reason": reason, "output": None})
    study = uploaded["ParentStudy"]
    page = show("study", study, lambda r: r.fulfill(status=200, content_type="application/json", body=body))
    await_text(page, "study", "quarantined")
    picture(page, "study-quarantined")
    assert state(page, "study") == f"De-identification: quarantined: {reason}"
    assert page.title() != "broken"


def test_the_state_is_asked_for_until_an_end_state(uploaded: dict[str, str], show: Show) -> None:
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        status = ["deidentifying", "verifying", "done"][min(len(asked), 3) - 1]
        route.fulfill(status=200, content_type="application/json", body=json.dumps({"status": status}))

    page = show("study", uploaded["ParentStudy"], answer)
    for status in ("deidentifying", "verifying", "done"):
        await_text(page, "study", status)
    page.wait_for_timeout(2500)
    assert len(asked) == 3


def test_why_it_could_not_be_started_is_shown(uploaded: dict[str, str], show: Show) -> None:
    def answer(route: Route) -> None:
        status = 409 if route.request.method == "POST" else 404
        body = json.dumps({"title": "Conflict", "detail": "the study is being processed"})
        route.fulfill(status=status, content_type="application/problem+json", body=body)

    page = show("study", uploaded["ParentStudy"], answer)
    await_text(page, "study", "not processed yet")
    page.click("#study-deid")
    await_text(page, "study", "not started: the study is being processed")
