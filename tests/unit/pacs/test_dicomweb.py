"""A DICOMweb server that is asked and fetched from: a second Orthanc with the plugin, and one that misbehaves."""

import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from archives import dicomweb, encoded, made, two_series
from certificates import Authority
from lying_dicomweb import LyingDicomweb, WebLies
from orthanc_deid.errors import ConfigurationError, DeidError, Postponed, Rejected, Retriable
from orthanc_deid.pacs import connect
from orthanc_deid.pacs.base import Archive, Found, Instance, Wanted
from servers import OrthancServer, free_port
from shipments import client
from studies import ROOT, Person

PERSON, OTHER = Person(), Person(2)
STUDY = f"{ROOT}.1.1"
THEIRS = [made(OTHER, number=n) for n in (1, 2)]
ALL = [*two_series(PERSON), *THEIRS]
BY_ID = Wanted("study", {"PatientID": PERSON.PatientID})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    """Answer our Orthanc; it has no DICOMweb plugin."""
    orthanc = OrthancServer(tmp_path_factory.mktemp("ours"), name="OURS").start()
    yield orthanc
    orthanc.kill()


@pytest.fixture(autouse=True)
def _empty(server: OrthancServer) -> Iterator[None]:
    yield
    for study in server.studies():
        server.request("DELETE", f"/studies/{study}")


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    """Answer a second Orthanc with the plugin and two studies."""
    orthanc = OrthancServer(
        tmp_path_factory.mktemp("second"), name="SECOND", plugins=("libOrthancDicomWeb.so",)
    ).start()
    for ds in ALL:
        orthanc.upload(encoded(ds)).raise_for_status()
    yield orthanc
    orthanc.kill()


@pytest.fixture
def liar() -> Iterator[LyingDicomweb]:
    """Answer a DICOMweb server whose lies a test may change."""
    with LyingDicomweb(ALL) as running:
        yield running


@pytest.fixture
def archive(server: OrthancServer, liar: LyingDicomweb) -> Archive:
    """Answer the client of the misbehaving server."""
    return connect(dicomweb(liar.url), client(server))


def held(server: OrthancServer) -> set[str]:
    """Return the SOPInstanceUIDs that our Orthanc holds."""
    return {i["MainDicomTags"]["SOPInstanceUID"] for i in server.get("/instances?expand").json()}


def exercise(archive: Archive, server: OrthancServer) -> None:
    """Ask and fetch at every level."""
    mine = two_series(PERSON)
    assert archive.check() == "answers QIDO-RS"
    [found] = archive.find(BY_ID)
    assert (found.study_uid, found.patient_id, found.series, found.instances) == (STUDY, PERSON.PatientID, 2, 6)
    assert found.attributes["PatientName"] == PERSON.PatientName
    assert found.attributes["StudyDate"] == "20200615"
    [series] = archive.find(Wanted("series", {"PatientID": PERSON.PatientID, "SeriesDescription": "*T2*"}))
    assert (series.series_uid, series.instances) == (f"{STUDY}.2", 3)
    assert [f.study_uid for f in archive.find(Wanted("series", {"SeriesInstanceUID": f"{STUDY}.2"}))] == [STUDY]
    by_type = Wanted("instance", {"StudyInstanceUID": STUDY, "ImageType": "AXIAL", "SeriesNumber": "1"})
    assert [f.series_uid for f in archive.find(by_type)] == [f"{STUDY}.1"]
    assert {f.attributes["StudyDate"] for f in archive.series(STUDY)} == {"20200615"}
    told = archive.instances(STUDY)
    assert told is not None
    assert {each.sop_uid for each in told} == {str(ds.SOPInstanceUID) for ds in mine}
    assert archive.count(STUDY) == 6
    assert archive.count("1.2.3") is None
    archive.retrieve(found, [Instance(STUDY, f"{STUDY}.2", f"{STUDY}.2.3")])
    assert held(server) == {f"{STUDY}.2.3"}
    archive.retrieve(series)
    assert len(held(server)) == 3
    archive.retrieve(found)
    assert held(server) == {str(ds.SOPInstanceUID) for ds in mine}


def test_a_second_orthanc_is_asked_and_sends_byte_for_byte(server: OrthancServer, second: OrthancServer) -> None:
    login = {"username": "admin", "password_file": second.home / "admin-password"}
    archive = connect(dicomweb(f"{second.url}/dicom-web/", **login), client(server))
    exercise(archive, server)
    # Its plugin does not decode what stands in a URL.
    for keyword, value in (("SeriesDescription", "T2 FLAIR"), ("PatientName", PERSON.PatientName)):
        assert archive.find(Wanted("series", {"PatientID": PERSON.PatientID, keyword: value}))
    for instance in server.instances():
        assert server.get(f"/instances/{instance}/file").content == second.get(f"/instances/{instance}/file").content


@pytest.mark.parametrize(
    "lies",
    [
        WebLies(),
        WebLies(page=1),
        WebLies(paging=False),
        WebLies(nothing=204),
        WebLies(no_filters=True),
        WebLies(any_syntax=False),
        WebLies(counts=False),
        WebLies(piece=7),
        WebLies(preamble=b"an introduction\r\n"),
    ],
    ids=lambda lies: str(lies)[8:40],
)
def test_every_habit_of_a_server_is_understood(
    archive: Archive, server: OrthancServer, liar: LyingDicomweb, lies: WebLies
) -> None:
    liar.lies = lies
    if lies.counts:
        exercise(archive, server)
    else:
        assert archive.count(STUDY) == 6


def test_a_question_for_everything_is_not_sent(archive: Archive, liar: LyingDicomweb) -> None:
    with pytest.raises(Rejected, match="whole archive"):
        archive.find(Wanted("study", {"PatientName": "*"}))
    assert liar.requests == []


@pytest.mark.parametrize(
    ("lies", "kind", "words"),
    [
        (WebLies(code=503), Retriable, r"away or overloaded \(503\)"),
        (WebLies(code=401), Retriable, r"refuses the log-in \(401\)"),
        (WebLies(code=302), Rejected, "points elsewhere"),
        (WebLies(code=501), Rejected, r"\(code 501\)"),
        (WebLies(cut=True), Retriable, "cut off|cannot be reached"),
        (WebLies(single=True), Rejected, "something else than multipart"),
        (WebLies(sleep_s=2), Retriable, "no answer in time"),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, str) else "",
)
def test_each_refusal_has_its_reason(
    server: OrthancServer, liar: LyingDicomweb, lies: WebLies, kind: type[DeidError], words: str
) -> None:
    archive = connect(dicomweb(liar.url, timeout_s=1), client(server))
    liar.lies = lies
    for act in (lambda: archive.find(BY_ID), lambda: archive.retrieve(Found(STUDY))):
        if act is not None and not (lies.cut or lies.single):
            with pytest.raises(kind, match=words) as caught:
                act()
            assert_silent(caught.value)
    with pytest.raises(kind, match=words) as caught:
        archive.retrieve(Found(STUDY))
    assert_silent(caught.value)


def assert_silent(error: BaseException) -> None:
    """Fail where a value of a question or an answer is in an exception or in what stands behind it."""
    told = "".join(traceback.format_exception(error))
    assert [marker for marker in (*PERSON.markers, "dicom-web/studies") if marker in told] == []


def test_a_server_that_is_down_is_tried_again(server: OrthancServer) -> None:
    away = connect(dicomweb(f"http://127.0.0.1:{free_port()}/"), client(server))
    for act in (away.check, lambda: away.find(BY_ID), lambda: away.retrieve(Found(STUDY))):
        with pytest.raises(Retriable, match="connection refused") as caught:
            act()
        assert_silent(caught.value)


def test_another_target_is_refused(archive: Archive, server: OrthancServer) -> None:
    with pytest.raises(ConfigurationError, match="sends to this Orthanc only"):
        archive.retrieve(Found(STUDY), target="ELSEWHERE")
    archive.retrieve(Found(STUDY), target="OURS")
    assert len(held(server)) == 6


def test_who_must_stop_stops_between_two_instances(server: OrthancServer, liar: LyingDicomweb) -> None:
    def going() -> None:
        if len(held(server)) >= 2:
            raise Postponed("the window has closed", 60)

    with pytest.raises(Postponed):
        connect(dicomweb(liar.url), client(server), going).retrieve(Found(STUDY))
    assert len(held(server)) == 2


def test_what_our_orthanc_does_not_take_does_not_stop_the_rest(
    archive: Archive, server: OrthancServer, liar: LyingDicomweb
) -> None:
    liar.lies = WebLies(junk=True)
    archive.retrieve(Found(STUDY))
    assert len(held(server)) == 6


def test_a_token_and_a_certificate_of_ours_go_along(
    server: OrthancServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path / "tls")
    ours = authority.issue("ours")
    monkeypatch.setenv("WEB_TOKEN", "letmein")
    own: dict[str, Any] = {"certificate_file": ours.certificate, "key_file": ours.key}
    with LyingDicomweb(
        ALL, pair=authority.issue("theirs"), trusts=authority.certificate, login="Bearer letmein"
    ) as liar:
        whole = {**own, "ca_file": authority.certificate, "token_env": "WEB_TOKEN"}
        archive = connect(dicomweb(liar.url, **whole), client(server))
        archive.retrieve(archive.find(BY_ID)[0])
        assert len(held(server)) == 6
        with pytest.raises(Retriable):
            connect(dicomweb(liar.url, ca_file=authority.certificate), client(server)).find(BY_ID)
