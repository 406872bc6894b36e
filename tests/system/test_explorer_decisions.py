"""What a person decides in Orthanc Explorer, and the page of what waits for a person, in a real browser."""

import io
import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Dialog, Page, Route
from pydicom import dcmread

from explorer_pages import Explorer, await_state, await_text, chromium, explorer, picture, text_of
from lying_pacs import LyingPacs
from servers import wait_for
from sites import Site
from studies import ROOT, Person, ct_study

DEID = """
projects:
  - name: fetched
    match: {{source: [pacs]}}
    destinations: [research]
  - name: announced
    completeness: {{by: manifest, deadline_s: 3000}}
destinations:
  - name: research
    kind: orthanc-peer
    url: {url}
    username: admin
    password_file: {password_file}
sources:
  - {{kind: pacs, name: pacs, ae: PACS, host: 127.0.0.1, port: PORT, arrive_s: 2}}
  - {{kind: pacs, name: closed, ae: PACS, host: 127.0.0.1, port: PORT}}
intake: {{reconcile_s: 0.5}}
limits: {{backoff_s: 1}}
"""
EVIL = "<img src=x onerror=\"document.title='broken'\">"
STATE = "#study-deid-state"
ACTIONS = "#study-deid-actions"
FAULT = "#study-deid-fault"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with LyingPacs([file for n in (1, 2, 3) for file in ct_study(Person(n), 3)]) as pacs:
        site = Site(tmp_path_factory.mktemp("site"), deid=DEID.replace("PORT", str(pacs.port)))
        pacs.known["CLINICAL"] = ("127.0.0.1", site.clinical.dicom_port)
        try:
            site.start()
            site.clinical.post("/deid/sources/closed/pause").raise_for_status()
            yield site
        finally:
            site.kill()


@pytest.fixture(scope="module")
def held(site: Site) -> list[str]:
    """Orthanc ids of studies that wait in review."""
    batch = begin(site, "pacs", 1, 2, 3)
    rows = f"/deid/batches/{batch}/rows"
    wait_for(lambda: all(row["studies"] for row in site.clinical.get(rows).json()["items"]), 60, "all are found")
    wait_for(lambda: all(orthanc for orthanc in ids(site, rows)), 60, "all have arrived")
    for study in ids(site, rows):
        site.await_status(study, "review")
    return ids(site, rows)


def ids(site: Site, rows: str) -> list[str]:
    return [row["studies"][0]["orthanc"] for row in site.clinical.get(rows).json()["items"]]


def begin(site: Site, source: str, *people: int) -> int:
    wanted = {"list": "\n".join(f"{ROOT}.{n}.1" for n in people), "source": source, "hold": True}
    answer = site.clinical.post("/deid/batches", json=wanted, timeout=30)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


def announce(site: Site, person: int, count: int) -> None:
    manifest = {"StudyInstanceUID": f"{ROOT}.{person}.1", "instances": count}
    site.clinical.post("/deid/manifests", json=manifest, timeout=30).raise_for_status()


@pytest.fixture
def pages(site: Site, browser: Browser) -> Iterator[Explorer]:
    with explorer(site.clinical, browser) as opened:
        yield opened


def changed(dicom: bytes, number: int) -> bytes:
    """Return the file with another InstanceNumber."""
    ds = dcmread(io.BytesIO(dicom))
    ds.InstanceNumber = number
    file = io.BytesIO()
    ds.save_as(file, enforce_file_format=True)
    return file.getvalue()


def accept(page: Page) -> list[str]:
    """Say yes to the next question; return the list that gets its words."""
    asked: list[str] = []

    def say_yes(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.accept()

    page.once("dialog", say_yes)
    return asked


def test_a_held_study_is_approved_on_the_page_of_its_result(site: Site, pages: Explorer, held: list[str]) -> None:
    output = site.study(held[0])["output"]
    page = pages.open("study", output)
    assert await_state(page, "study", "review").startswith("De-identification: this study is the result; review")
    picture(page, "study-review-result")
    page.click(f"{ACTIONS} button:has-text('Approve')")  # the question is answered with no
    assert site.study(held[0])["status"] == "review"
    asked = accept(page)
    page.click(f"{ACTIONS} button:has-text('Approve')")
    page.wait_for_selector(f"{ACTIONS} button:has-text('Approve')", state="detached")
    site.await_status(held[0], "done")
    assert len(site.arrived(output)) == 3
    assert "delivered" in asked[0]
    await_text(page, "#study-deid-deliveries", "research: confirmed, 3 instances")
    picture(page, "study-approved")


def test_a_held_study_is_rejected_with_a_reason(site: Site, pages: Explorer, held: list[str]) -> None:
    page = pages.open("study", held[1])
    await_state(page, "study", "review")
    picture(page, "study-review")
    page.click(f"{ACTIONS} button:has-text('Reject')")
    assert page.evaluate("document.activeElement.id") == "deid-reason"
    page.keyboard.press("Enter")
    await_text(page, "#deid-dialog", "say why")
    picture(page, "reject-dialog")
    page.fill("#deid-reason", EVIL + "x" * 300)
    assert len(page.input_value("#deid-reason")) == 200
    page.fill("#deid-reason", EVIL)
    page.click("#deid-dialog button:has-text('Reject')")
    page.wait_for_selector("#deid-dialog", state="detached")
    await_state(page, "study", f"De-identification: rejected: {EVIL}")
    picture(page, "study-rejected")
    study = site.await_status(held[1], "rejected")
    assert study["reason"] == f"rejected: {EVIL}"
    assert site.arrived(study["output"]) == []
    assert page.title() != "broken"


def test_why_nobody_could_decide_stays_while_the_state_goes_on(pages: Explorer, held: list[str]) -> None:
    refusal = json.dumps({"title": "no", "detail": EVIL})
    answers = {
        f"studies/*/{verb}": lambda route: route.fulfill(status=409, body=refusal) for verb in ("approve", "reject")
    }
    page = pages.open("study", held[2], answers)
    await_state(page, "study", "review")
    accept(page)
    page.click(f"{ACTIONS} button:has-text('Approve')")
    assert await_text(page, FAULT, "not approved") == f"not approved: {EVIL}"
    page.wait_for_event("response", lambda answer: answer.request.method == "GET")
    assert text_of(page, FAULT) == f"not approved: {EVIL}"
    assert text_of(page, STATE).startswith("De-identification: review")
    picture(page, "study-not-approved")
    page.click(f"{ACTIONS} button:has-text('Reject')")
    page.fill("#deid-reason", "blurred")
    page.keyboard.press("Enter")
    assert f"not rejected: {EVIL}" in await_text(page, "#deid-dialog", "not rejected")
    assert page.title() != "broken"


def test_what_a_study_waits_for_is_shown_as_it_changes_and_can_be_overruled(site: Site, pages: Explorer) -> None:
    files = ct_study(Person(11), 4)
    announce(site, 11, 5)
    source = site.send(files[:2])
    page = pages.open("study", source)
    words = await_state(page, "study", "2 of 5 instances")
    assert words.startswith("De-identification: 2 of 5 instances, waiting until ")
    assert text_of(page, ACTIONS) == "Cancel"
    picture(page, "study-waiting")
    site.send(files[2:])
    await_state(page, "study", "4 of 5 instances, waiting until ")
    asked = accept(page)
    page.click("#study-deid")
    assert asked == ["4 of 5 instances are here. De-identify what is here now?"]
    assert site.await_status(source, "done")["instances"]["deidentified"] == 4


def test_which_content_stays_is_decided_for_each_instance(site: Site, pages: Explorer) -> None:
    files = ct_study(Person(12), 3)
    announce(site, 12, 3)
    source = site.send(files)
    site.await_status(source, "done")
    site.send(changed(file, n) for n, file in enumerate(files, 11))
    wait_for(lambda: site.study(source)["conflicts"] == 3, 30, "the conflicts are known")
    page = pages.open("study", source)
    await_text(page, ACTIONS, "3 instances came again with another content")
    picture(page, "study-conflicts")
    page.click(f"{ACTIONS} button:has-text('Decide')")
    row = "#deid-dialog li:nth-child(1)"
    assert "InstanceNumber" in await_text(page, row, "differs in ")
    picture(page, "conflicts-dialog")
    of_one = accept(page)
    page.click(f"{row} button:has-text('Take what came')")
    await_text(page, row, "decided: what came takes its place")
    of_all = accept(page)
    page.click("#deid-dialog p button:has-text('Keep what is stored')")
    await_text(page, "#deid-dialog li:nth-child(3)", "decided: what is stored stays")
    picture(page, "conflicts-decided")
    page.click("#deid-dialog-close")
    page.wait_for_selector(f"{ACTIONS} button:has-text('Decide')", state="detached")
    wait_for(lambda: site.study(source)["version"] == 2, 30, "it is made anew")
    assert of_one[0].startswith("What came replaces what is stored")
    assert of_all == ["2 instances: What came is deleted. Keep what is stored?"]


def test_what_waits_for_a_person_is_listed_and_a_batch_paused(site: Site, pages: Explorer, held: list[str]) -> None:
    batch = begin(site, "closed", 1, 2)
    page = pages.open("lookup")
    link = await_text(page, "#lookup-deid", "for a person", "studies", "study")
    assert " for a person" in link
    picture(page, "lookup")
    page.click("#lookup-deid")
    await_text(page, "#deid-health", "Everything that is needed works.")
    await_text(page, "#deid-studies", "In review: ")
    mine = f"#deid-batches li:has-text('Batch {batch} from closed')"
    await_text(page, mine, ": running\n0 of 2 rows ended")
    assert "paused" in text_of(page, "#deid-sources li:has-text('closed')")
    picture(page, "overview")
    page.focus(f"{mine} button:has-text('Pause')")
    page.keyboard.press("Enter")
    await_text(page, mine, ": paused")
    assert site.clinical.get(f"/deid/batches/{batch}").json()["state"] == "paused"
    picture(page, "overview-paused")
    page.click(f"{mine} button:has-text('Go on')")
    await_text(page, mine, ": running")
    accept(page)
    page.click(f"{mine} button:has-text('Cancel')")
    await_text(page, mine, ": cancelled")
    assert page.locator(f"{mine} button").count() == 0
    page.click(f"#deid-studies a[href*='{site.study(held[2])['output']}']")
    await_state(page, "study", "review")
    page.go_back()
    await_text(page, "#deid-studies", "In review: ")


def test_a_source_is_paused_and_let_go_on_by_click(site: Site, pages: Explorer) -> None:
    page = pages.open("deid-overview")
    row = "#deid-sources li:has-text('closed (pacs)')"
    await_text(page, row, ": paused")
    page.click(f"{row} button:has-text('Go on')")
    page.wait_for_selector(f"{row} button:has-text('Pause')")
    assert site.clinical.get("/deid/sources/closed").json()["paused"] is False
    page.click(f"{row} button:has-text('Pause')")
    await_text(page, row, ": paused")


def test_what_the_service_says_becomes_no_html_and_a_refusal_stays(pages: Explorer) -> None:
    study = {
        "id": 7, "source": EVIL, "output": None, "project": EVIL, "reason": EVIL, "instances": {"received": 1},
    }  # fmt: skip
    batch = {
        "id": 1, "source": EVIL, "state": "running", "rows": {"queued": 1}, "mode": "retrieve", "to": EVIL,
        "hold": True, "instances": {"expected": 0, "arrived": 0},
    }  # fmt: skip
    source = {"name": EVIL, "kind": EVIL, "paused": False, "opens_in_s": 90.0, "state": None, "reason": EVIL}
    health = {"checks": {"database": "ok", "disk": EVIL}, "studies": {"failed": 30}}

    def say(route: Route, **body: object) -> None:
        route.fulfill(status=200, content_type="application/json", body=json.dumps(body))

    refusal = json.dumps({"title": "no", "detail": EVIL})
    page = pages.open("deid-overview", routes={
        "health?*": lambda route: say(route, **health),
        "studies?*": lambda route: say(route, items=[study], next="1"),
        "batches?*": lambda route: say(route, items=[batch], next=None),
        "sources?*": lambda route: say(route, items=[source]),
        "batches/1/pause": lambda route: route.fulfill(status=409, body=refusal),
    })  # fmt: skip
    assert await_text(page, "#deid-health", "disk") == f"Something is wrong. disk: {EVIL}"
    assert "and 29 more" in await_text(page, "#deid-studies", "Failed: 30")
    page.click("#deid-batches button:has-text('Pause')")
    await_text(page, "#deid-batches", f"not done: {EVIL}")
    picture(page, "overview-refused")
    assert page.title() != "broken"


def test_nothing_is_wider_than_the_window(pages: Explorer, held: list[str]) -> None:
    width = 480
    page = pages.open("study", held[2])
    page.set_viewport_size({"width": width, "height": 800})
    await_state(page, "study", "review")
    page.click(f"{ACTIONS} button:has-text('Reject')")
    picture(page, f"reject-{width}")
    assert page.evaluate("document.getElementById('deid-dialog').getBoundingClientRect().right") <= width
    page.keyboard.press("Escape")
    overview = pages.open("deid-overview")
    overview.set_viewport_size({"width": width, "height": 800})
    await_text(overview, "#deid-studies", "In review: ")
    picture(overview, f"overview-{width}")
    assert overview.evaluate("document.documentElement.scrollWidth") <= width
