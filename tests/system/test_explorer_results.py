"""The entries on pages of results in Orthanc Explorer: conversions, pictures and destinations, in a real browser."""

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from PIL import Image
from playwright.sync_api import Browser, Route

from explorer_pages import Explorer, await_state, await_text, chromium, download, explorer, picture, text_of
from instances import instance
from servers import free_port, wait_for
from sites import Site
from studies import Person, ct_study

DEID = """
projects:
  - name: default
destinations:
  - name: research
    kind: orthanc-peer
    url: {url}
    username: admin
    password_file: {password_file}
  - name: down
    kind: orthanc-peer
    url: http://127.0.0.1:DOWN
    username: admin
    password_file: {password_file}
intake: {{automatic: false, reconcile_s: 1}}
limits: {{backoff_s: 3, delivery_attempts: 2}}
"""
PART_BYTES = 32 * 2**20
SMALL = 1000  # bytes, of parts that are made here


@dataclass(frozen=True)
class Result:
    """A study that is done: Orthanc ids of the identified and of the de-identified side."""

    source: str
    source_series: str
    source_instance: str
    study: str
    series: str
    instance: str


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("site"), deid=DEID.replace("DOWN", str(free_port())))
    yield site.start()
    site.kill()


def made(site: Site, files: list[bytes]) -> Result:
    source = site.send(files)
    site.clinical.post(f"/deid/studies/{source}/process").raise_for_status()
    study = site.await_status(source, "done")["output"]
    ids = [site.clinical.get(f"/studies/{each}/instances").json()[0] for each in (source, study)]
    return Result(source, ids[0]["ParentSeries"], ids[0]["ID"], study, ids[1]["ParentSeries"], ids[1]["ID"])


@pytest.fixture(scope="module")
def result(site: Site) -> Result:
    return made(site, ct_study(Person(), 6))


@pytest.fixture
def pages(site: Site, browser: Browser) -> Iterator[Explorer]:
    with explorer(site.clinical, browser) as opened:
        yield opened


def names_in(content: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return archive.namelist()


@pytest.mark.parametrize(
    ("kind", "entry", "inside"),
    [
        ("study", "nifti", (".nii.gz", ".json")),
        ("study", "bids", ("dataset_description.json", "participants.tsv")),
        ("study", "dicomdir", ("DICOMDIR",)),
        ("series", "nifti", (".nii.gz", ".json")),
        ("series", "pictures", (".png",)),
    ],
)
def test_an_archive_is_saved_as_a_file(
    pages: Explorer, result: Result, kind: str, entry: str, inside: tuple[str, ...]
) -> None:
    page = pages.open(kind, getattr(result, kind))
    name, content = download(page, f"#{kind}-deid-{entry}")
    found = names_in(content)
    assert name.endswith(".zip")
    assert [end for end in inside if not any(member.endswith(end) for member in found)] == []
    await_text(page, f"#{kind}-deid-{entry}-note", f"saved: {name}, ")
    picture(page, f"{kind}-{entry}-saved")


@pytest.mark.parametrize(("entry", "format_"), [("png", "PNG"), ("jpeg", "JPEG")])
def test_an_instance_is_saved_as_a_picture(pages: Explorer, result: Result, entry: str, format_: str) -> None:
    page = pages.open("instance", result.instance)
    _, content = download(page, f"#instance-deid-{entry}")
    image = Image.open(io.BytesIO(content))
    assert (image.format, image.size) == (format_, (32, 32))
    picture(page, "instance-saved")


def test_a_contact_sheet_is_shown_within_the_page_and_can_be_saved(pages: Explorer, result: Result) -> None:
    page = pages.open("series", result.series)
    page.focus("#series-deid-sheet")
    page.keyboard.press("Enter")
    page.wait_for_selector("#deid-dialog img")
    page.wait_for_function("document.querySelector('#deid-dialog img').naturalWidth > 32")
    assert page.get_attribute("#deid-dialog img", "alt") == "Contact sheet"
    picture(page, "series-contact-sheet")
    _, content = download(page, "#deid-dialog button:has-text('Save')")
    assert Image.open(io.BytesIO(content)).format == "PNG"
    page.keyboard.press("Escape")
    page.wait_for_selector("#deid-dialog", state="detached")
    assert page.evaluate("document.activeElement.id") == "series-deid-sheet"


@pytest.mark.parametrize("kind", ["study", "series", "instance"])
def test_pages_of_an_identified_study_have_no_entry_that_gives_anything_out(
    pages: Explorer, result: Result, kind: str
) -> None:
    page = pages.open(kind, {"study": result.source, "series": result.source_series}.get(kind, result.source_instance))
    if kind == "instance":
        page.wait_for_timeout(1500)
        assert not page.is_visible("#instance-deid-list")
    else:
        await_state(page, kind, "done")
        assert page.is_visible(f"#{kind}-deid")
        assert "open the result" in text_of(page, f"#{kind}-deid-actions")
    assert page.locator(".deid-of-result:visible").count() == 0
    picture(page, f"{kind}-identified")


def test_a_page_of_a_result_is_not_processed_again(pages: Explorer, result: Result) -> None:
    page = pages.open("study", result.study)
    assert await_state(page, "study", "result") == "De-identification: this study is the result"
    assert not page.is_visible("#study-deid")
    assert page.locator(".deid-of-result:visible").count() == 4
    picture(page, "study-result")


def test_a_result_is_sent_where_a_person_chooses(site: Site, pages: Explorer) -> None:
    sent = made(site, ct_study(Person(2), 3))
    page = pages.open("study", sent.study)
    page.click("#study-deid-send")
    page.wait_for_selector("#deid-dialog li")
    assert text_of(page, "#deid-dialog li:has-text('research')").split("\n")[-2:] == ["orthanc-peer", "not sent to it"]
    picture(page, "send-dialog")
    page.click("#deid-dialog li:has-text('research') button")
    await_text(page, "#deid-dialog li:has-text('research')", "confirmed, 3 instances")
    assert len(site.arrived(sent.study)) == 3
    assert text_of(page, "#study-deid-deliveries") == "research: confirmed, 3 instances"
    picture(page, "send-dialog-confirmed")
    site.research.request("DELETE", f"/studies/{sent.study}").raise_for_status()
    page.once("dialog", lambda dialog: dialog.accept())
    page.click("#deid-dialog li:has-text('research') button:has-text('Send once more')")
    wait_for(lambda: len(site.arrived(sent.study)) == 3, 60, "it has arrived once more")
    page.click("#deid-dialog-close")
    assert page.locator("#deid-dialog").count() == 0


def test_a_destination_that_is_down_says_why_and_is_sent_to_again(site: Site, pages: Explorer) -> None:
    sent = made(site, ct_study(Person(3), 2))
    page = pages.open("study", sent.study)
    page.click("#study-deid-send")
    page.click("#deid-dialog li:has-text('down') button")
    text = await_text(page, "#deid-dialog li:has-text('down')", "next attempt at")
    assert "pending: " in text
    picture(page, "send-dialog-down")
    text = await_text(page, "#deid-dialog li:has-text('down')", "failed: ")
    assert "Send again" in text
    page.keyboard.press("Escape")
    await_state(page, "study", "failed")
    await_text(page, "#study-deid-deliveries", "down: failed: ")
    assert page.is_visible("#study-deid-actions button:has-text('Try again')")
    picture(page, "study-failed")
    page.click("#study-deid-deliveries button:has-text('Send again')")
    await_text(page, "#study-deid-deliveries", "down: pending")
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.click("#study-deid-actions button:has-text('Cancel')")
    assert "cancelled" not in site.study(sent.source)["status"]
    page.once("dialog", lambda dialog: dialog.accept())
    page.click("#study-deid-actions button:has-text('Cancel')")
    await_state(page, "study", "cancelled by a person")
    picture(page, "study-cancelled")
    page.click("#study-deid-actions button:has-text('Try again')")
    await_state(page, "study", "queued", "exporting", "failed")
    await_text(page, "#study-deid-actions", "Try now")
    page.click("#study-deid-actions button:has-text('Try now')")
    await_state(page, "study", "failed")


def test_what_is_large_is_fetched_in_parts_and_joined(site: Site, pages: Explorer) -> None:
    rows = 4300
    large = made(site, [instance(rows, PatientID="LARGE", PixelData=os.urandom(rows * rows * 2))])
    stored = site.clinical.get(f"/instances/{large.instance}/file", timeout=60).content
    page = pages.open("study", large.study)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    _, content = download(page, "#study-deid-dicomdir")
    assert len(content) > PART_BYTES
    assert len([url for url in asked if "/dicomdir" in url]) == 2
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [hashlib.sha256(archive.read(name)).digest() for name in archive.namelist()]
    assert hashlib.sha256(stored).digest() in members


def test_a_conversion_that_takes_long_is_awaited(pages: Explorer, result: Result) -> None:
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) < 3:
            headers = {"Retry-After": "1"}
            route.fulfill(status=202, headers=headers, content_type="application/json", body='{"status": "converting"}')
        else:
            route.continue_()

    page = pages.open("study", result.study, {"studies/*/nifti*": answer})
    with page.expect_download() as waiting:
        page.click("#study-deid-nifti")
        await_text(page, "#study-deid-nifti-note", "converting…")
        picture(page, "study-converting")
        page.click("#study-deid-nifti")  # it is under way already
    assert waiting.value.suggested_filename.endswith(".zip")
    assert len(asked) == 3


@pytest.mark.parametrize("status", [403, 404, 409, 422, 503])
def test_why_there_is_no_file_is_shown_as_text(pages: Explorer, result: Result, status: int) -> None:
    reason = "<img src=x onerror=\"document.title='broken'\">"
    body = json.dumps({"title": "no", "status": status, "detail": reason})
    page = pages.open(
        "study",
        result.study,
        {"studies/*/bids*": lambda route: route.fulfill(status=status, content_type="text/plain", body=body)},
    )
    page.click("#study-deid-bids")
    assert await_text(page, "#study-deid-bids-note", "<img") == reason
    assert page.title() != "broken"
    picture(page, "study-refused")


def test_each_page_that_links_lead_to_has_its_own_state_and_entries(pages: Explorer, result: Result) -> None:
    page = pages.open("study", result.study)
    await_state(page, "study", "this study is the result")
    page.click("#list-series a")
    await_state(page, "series", "this series is of the result")
    page.wait_for_selector("#series-deid-sheet")
    page.click("#list-instances a")
    page.wait_for_selector("#instance-deid-png")
    page.go_back()
    page.wait_for_selector("#series-deid-sheet")
    await_state(page, "series", "this series is of the result")
    page.wait_for_function("$('.ui-page.in, .ui-page.out').length === 0")  # jQuery Mobile changes one at a time
    page.evaluate(f"window.location.hash = '#series?uuid={result.source_series}'")
    await_state(page, "series", "done")
    assert page.locator(".deid-of-result:visible").count() == 0


def test_from_a_study_to_another_the_entries_are_those_of_the_study_in_view(pages: Explorer, result: Result) -> None:
    page = pages.open("study", result.study)
    await_state(page, "study", "this study is the result")
    page.click("#study-deid-nifti")
    page.evaluate(f"window.location.hash = '#study?uuid={result.source}'")
    await_state(page, "study", "done")
    assert page.locator(".deid-of-result:visible").count() == 0
    page.go_back()
    await_state(page, "study", "this study is the result")
    assert page.locator(".deid-of-result:visible").count() == 4
    assert text_of(page, "#study-deid-nifti-note") == ""


def test_every_entry_and_button_is_reached_by_the_tabulator(pages: Explorer, result: Result) -> None:
    page = pages.open("study", result.study)
    await_state(page, "study", "this study is the result")
    page.focus("#study-anonymize")
    reached = []
    for _ in range(4):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id"))
    assert reached == [f"study-deid-{name}" for name in ("nifti", "bids", "dicomdir", "send")]
    page.keyboard.press("Enter")
    page.wait_for_selector("#deid-dialog li")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('#deid-dialog') !== null")
    assert page.locator("[role=status]:visible").count() > 0


def test_a_paused_destination_says_so(site: Site, pages: Explorer, result: Result) -> None:
    site.clinical.post("/deid/destinations/down/pause").raise_for_status()
    try:
        page = pages.open("study", result.study)
        page.click("#study-deid-send")
        await_text(page, "#deid-dialog li:has-text('down')", "paused: nothing is sent until it is let go on")
        picture(page, "send-dialog-paused")
    finally:
        site.clinical.post("/deid/destinations/down/resume").raise_for_status()


def test_why_nothing_can_be_sent_is_shown(pages: Explorer, result: Result) -> None:
    refusal = json.dumps({"title": "the state does not allow it", "detail": "the study is at work already"})
    page = pages.open(
        "study", result.study, {"studies/*/export": lambda route: route.fulfill(status=409, body=refusal)}
    )
    page.click("#study-deid-send")
    page.click("#deid-dialog li:has-text('research') button")
    await_text(page, "#deid-dialog li:has-text('research')", "not sent: the study is at work already")


def part(route: Route, size: int, etag: str, **more: str) -> None:
    headers = {"ETag": etag, **more}
    route.fulfill(status=200, headers=headers, content_type="application/zip", body=b"x" * size)


def test_a_part_that_fails_is_asked_for_again_and_no_other(pages: Explorer, result: Result) -> None:
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.url.partition("&")[2])
        if len(asked) == 1:
            part(route, SMALL, '"one"')
        elif len(asked) == 2:
            route.fulfill(status=503, headers={"Retry-After": "1"}, body='{"detail": "busy"}')
        else:
            part(route, 5, 'W/"one"', **{"Content-Disposition": 'attachment; filename="../b d.zip"'})

    page = pages.open("study", result.study, {"studies/*/bids*": answer})
    page.evaluate(f"orthancDeid.partBytes = {SMALL}")
    name, content = download(page, "#study-deid-bids")
    assert (name, len(content)) == ("_b_d.zip", SMALL + 5)
    assert asked == [f"offset={offset}&count={SMALL}" for offset in (0, SMALL, SMALL)]


def test_parts_of_two_different_files_are_not_joined(pages: Explorer, result: Result) -> None:
    etags = iter(['"one"', '"two"'])
    page = pages.open("study", result.study, {"studies/*/bids*": lambda route: part(route, SMALL, next(etags))})
    page.evaluate(f"orthancDeid.partBytes = {SMALL}")
    page.click("#study-deid-bids")
    await_text(page, "#study-deid-bids-note", "it has changed while it was being fetched")
