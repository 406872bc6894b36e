"""The entry in Orthanc Explorer, in a real browser (Debian's chromium)."""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Route

from explorer_pages import Explorer, await_state, await_text, chromium, explorer, picture, state, text_of
from instances import instance
from servers import MAIN, OrthancServer, wait_for

DEID = "intake: {automatic: false, reconcile_s: 1}\n"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    server = OrthancServer(tmp_path_factory.mktemp("orthanc"), script=MAIN, deid=DEID)
    with server:
        wait_for(lambda: server.get("/deid/health").ok, 60, "the service answers")
        yield server


@pytest.fixture
def pages(server: OrthancServer, browser: Browser) -> Iterator[Explorer]:
    with explorer(server, browser) as opened:
        yield opened


@pytest.fixture
def uploaded(server: OrthancServer) -> dict[str, str]:
    answer: dict[str, str] = server.upload(instance()).json()
    return answer


def told(status: str, **more: object) -> str:
    return json.dumps({"status": status, "reason": None, "output": None, "deliveries": [], **more})


@pytest.mark.parametrize("kind", ["study", "series"])
def test_a_click_processes_the_study_and_its_state_is_shown(
    server: OrthancServer, uploaded: dict[str, str], pages: Explorer, kind: str
) -> None:
    page = pages.open(kind, uploaded["ParentStudy" if kind == "study" else "ParentSeries"])
    await_state(page, kind, "not processed yet", "waiting")
    picture(page, f"{kind}-before")
    page.click(f"#{kind}-deid")
    await_state(page, kind, "done")
    picture(page, f"{kind}-done")
    study = server.get(f"/deid/studies/{uploaded['ParentStudy']}").json()
    assert study["status"] == "done"
    page.click(f"#{kind}-deid-actions a")
    page.wait_for_url(f"**#study?uuid={study['output']}")
    await_state(page, "study", "this study is the result")


def test_the_reason_of_a_quarantine_is_shown_as_text(uploaded: dict[str, str], pages: Explorer) -> None:
    reason = "<img src=x onerror=\"document.title='broken'\">"
    body = told("quarantined", reason=reason)
    answer = {"studies/**": lambda route: route.fulfill(status=200, content_type="application/json", body=body)}
    page = pages.open("study", uploaded["ParentStudy"], answer)
    await_state(page, "study", "quarantined")
    assert text_of(page, "#study-deid-actions") == "Try again"
    picture(page, "study-quarantined")
    assert state(page, "study") == f"De-identification: quarantined: {reason}"
    assert page.title() != "broken"


def test_the_state_is_asked_for_until_an_end_state(uploaded: dict[str, str], pages: Explorer) -> None:
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        status = ["deidentifying", "verifying", "done"][min(len(asked), 3) - 1]
        route.fulfill(status=200, content_type="application/json", body=told(status))

    page = pages.open("study", uploaded["ParentStudy"], {"studies/**": answer})
    for status in ("deidentifying", "verifying", "done"):
        await_state(page, "study", status)
    page.wait_for_timeout(2500)
    assert len(asked) == 3


def test_why_it_could_not_be_started_is_shown(uploaded: dict[str, str], pages: Explorer) -> None:
    def answer(route: Route) -> None:
        status = 409 if route.request.method == "POST" else 404
        body = json.dumps({"title": "Conflict", "detail": "the study is being processed"})
        route.fulfill(status=status, content_type="application/problem+json", body=body)

    page = pages.open("study", uploaded["ParentStudy"], {"studies/**": answer})
    await_state(page, "study", "not processed yet")
    page.click("#study-deid")
    await_text(page, "#study-deid-fault", "not started: the study is being processed")
    await_state(page, "study", "not processed yet")
