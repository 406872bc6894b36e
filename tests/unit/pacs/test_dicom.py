"""A PACS that is asked and retrieved from: DCMTK's, a second Orthanc, and one that lies in every way that we know."""

import threading
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from archives import encoded, made, pacs, two_series
from dicom_servers import Dcmqrscp
from lying_pacs import Lies, LyingPacs
from orthanc_deid.errors import ConfigurationError, DeidError, Postponed, Rejected, Retriable
from orthanc_deid.orthanc_rest import Orthanc
from orthanc_deid.pacs import connect, dicom
from orthanc_deid.pacs.base import Archive, Found, Instance, Wanted
from servers import OrthancServer, free_port, wait_for
from shipments import client, passing
from studies import ROOT, Person

PERSON, OTHER = Person(), Person(2)
STUDY, STRANGE = f"{ROOT}.1.1", f"{ROOT}.2.1"
THEIRS = [made(OTHER, number=n) for n in (1, 2)]
BY_ID = Wanted("study", {"PatientID": PERSON.PatientID})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    """Answer our Orthanc; it asks and receives."""
    orthanc = OrthancServer(tmp_path_factory.mktemp("ours"), name="OURS").start()
    yield orthanc
    orthanc.kill()


@pytest.fixture(autouse=True)
def _empty(server: OrthancServer) -> Iterator[None]:
    yield
    for study in server.studies():
        server.request("DELETE", f"/studies/{study}")
    assert server.get("/queries").json() == []


@pytest.fixture
def liar(server: OrthancServer) -> Iterator[LyingPacs]:
    """Answer a PACS with two studies whose lies a test may change."""
    with LyingPacs([*two_series(PERSON), *THEIRS], known={"OURS": ("127.0.0.1", server.dicom_port)}) as running:
        yield running


@pytest.fixture
def archive(server: OrthancServer, liar: LyingPacs) -> Archive:
    """Answer the client of the lying PACS."""
    return connect(pacs(liar.port), client(server))


def held(server: OrthancServer) -> set[str]:
    """Return the SOPInstanceUIDs that our Orthanc holds."""
    return {i["MainDicomTags"]["SOPInstanceUID"] for i in server.get("/instances?expand").json()}


def uids(datasets: list[Dataset]) -> set[str]:
    return {str(ds.SOPInstanceUID) for ds in datasets}


def instance(ds: Dataset) -> Instance:
    return Instance(str(ds.StudyInstanceUID), str(ds.SeriesInstanceUID), str(ds.SOPInstanceUID))


def descriptions(found: list[Found]) -> list[str]:
    return sorted(each.attributes.get("SeriesDescription", "") for each in found)


# Asking.


def test_a_study_is_found_with_all_that_is_told_of_it(archive: Archive) -> None:
    assert archive.check() == "answers C-ECHO and C-FIND"
    [found] = archive.find(BY_ID)
    assert (found.study_uid, found.series_uid, found.patient_id) == (STUDY, "", PERSON.PatientID)
    assert (found.series, found.instances) == (2, 6)
    assert found.attributes["PatientName"] == PERSON.PatientName
    assert found.attributes["ModalitiesInStudy"] == "CT"
    assert archive.find(Wanted("study", {"PatientID": "NOBODY"})) == []


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"SeriesDescription": "*T1*"}, ["T1 MPRAGE"]),
        ({"SeriesDescription": "t1*"}, []),
        ({"SeriesNumber": "2"}, ["T2 FLAIR"]),
        ({"Modality": "CT"}, ["T1 MPRAGE", "T2 FLAIR"]),
        ({"Modality": "CT\\MR"}, ["T1 MPRAGE", "T2 FLAIR"]),
        ({"Modality": "MR"}, []),
        ({"ProtocolName": "protocol ?", "StudyDate": "20200101-20201231"}, ["T1 MPRAGE", "T2 FLAIR"]),
        ({"StudyDate": "20210101-"}, []),
        ({"PatientName": "*zyxwvut001*"}, ["T1 MPRAGE", "T2 FLAIR"]),
    ],
)
@pytest.mark.parametrize(
    "lies", [Lies(), Lies(no_filters=True, duplicates=True, padded=True)], ids=["matches", "ignores every key"]
)
def test_series_are_found_by_keys_of_both_levels(
    archive: Archive, liar: LyingPacs, attributes: dict[str, str], expected: list[str], lies: Lies
) -> None:
    liar.lies = lies
    found = archive.find(Wanted("series", {"PatientID": PERSON.PatientID, **attributes}))
    assert descriptions(found) == expected
    assert {each.patient_id for each in found} <= {PERSON.PatientID}


def test_a_known_study_costs_one_question_and_none_is_asked_for_a_study_without_the_modality(
    archive: Archive, liar: LyingPacs
) -> None:
    assert len(archive.find(Wanted("series", {"StudyInstanceUID": STUDY, "SeriesDescription": "T*"}))) == 2
    assert [asked.level for asked in liar.finds] == ["SERIES"]
    liar.finds.clear()
    assert archive.find(Wanted("series", {"PatientID": "MRN*", "Modality": "MR"})) == []
    assert [asked.level for asked in liar.finds] == ["STUDY"]
    liar.lies = Lies(silent=frozenset({"ModalitiesInStudy"}))
    assert len(archive.find(Wanted("series", {"PatientID": "MRN*", "Modality": "CT"}))) == 3


def test_a_series_alone_is_found_where_the_archive_answers_that(archive: Archive, liar: LyingPacs) -> None:
    alone = Wanted("series", {"SeriesInstanceUID": f"{STUDY}.2"})
    with pytest.raises(Rejected, match=r"refuses C-FIND \(0xA900\): it does not take a question of this form"):
        archive.find(alone)
    liar.lies = Lies(relational=True)
    [found] = archive.find(alone)
    assert (found.study_uid, found.instances) == (STUDY, 3)


def test_what_only_instances_tell_is_asked_of_instances(archive: Archive, liar: LyingPacs) -> None:
    liar.add(made(PERSON, series=3, SeriesDescription="derived", ImageType=["DERIVED", "SECONDARY", "MEAN"]))
    derived = Wanted("instance", {"PatientID": PERSON.PatientID, "ImageType": "DERIVED"})
    assert descriptions(archive.find(derived)) == ["derived"]
    liar.lies = Lies(no_filters=True)
    assert descriptions(archive.find(derived)) == ["derived"]
    liar.lies = Lies(images=False)
    with pytest.raises(Rejected, match="refuses C-FIND"):
        archive.find(derived)
    liar.lies = Lies(silent=frozenset({"ImageType"}))
    with pytest.raises(Rejected, match="tells no ImageType: it cannot be searched by that"):
        archive.find(derived)


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted("study", {}),
        Wanted("study", {"PatientID": "", "PatientName": "*"}),
        Wanted("study", {"StudyTime": "10-11"}),
        Wanted("study", {"Modality": "CT"}),
        Wanted("series", {"SeriesDescription": "*T1*", "Modality": "CT"}),
        Wanted("instance", {"ImageType": "DERIVED"}),
        Wanted("study", {"StudyDate": "20*"}),
        Wanted("study", {"StudyDate": "19000101-"}),
        Wanted("study", {"StudyDate": "-20261121"}),
        Wanted("study", {"StudyDate": "20000101-20261121", "Modality": "CT"}),
        Wanted("study", {"PatientName": "*a*"}),
        Wanted("study", {"PatientID": "?*1*?", "StudyDescription": "*e*"}),
        Wanted("series", {"StudyDate": "19000101-", "SeriesDescription": "*T1*"}),
    ],
)
def test_nobody_asks_for_the_whole_archive(archive: Archive, liar: LyingPacs, wanted: Wanted) -> None:
    with pytest.raises(Rejected, match="whole archive"):
        archive.find(wanted)
    assert liar.finds == []


def test_a_question_that_no_archive_understands_is_not_sent(archive: Archive, liar: LyingPacs) -> None:
    with pytest.raises(Rejected, match="SeriesDescription is no attribute of a study"):
        archive.find(Wanted("study", {"PatientID": "1", "SeriesDescription": "x"}))
    with pytest.raises(Rejected, match="none that an archive is asked for") as caught:
        archive.find(Wanted("study", {"Zyxwvut": "1"}))
    assert "Zyxwvut" not in str(caught.value)
    assert liar.finds == []


def test_series_instances_and_counts_are_told(archive: Archive) -> None:
    series = archive.series(STUDY)
    assert descriptions(series) == ["T1 MPRAGE", "T2 FLAIR"]
    assert {(each.patient_id, each.instances, each.attributes["StudyDate"]) for each in series} == {
        (PERSON.PatientID, 3, "20200615")
    }
    assert series[0].attributes["ImageType"] == "ORIGINAL\\PRIMARY\\AXIAL"
    told = archive.instances(STUDY)
    assert told is not None
    assert {each.sop_uid for each in told} == uids(two_series(PERSON))
    of_one = archive.instances(STUDY, f"{STUDY}.2")
    assert of_one is not None
    assert len(of_one) == 3
    assert archive.count(STUDY) == 6


@pytest.mark.parametrize(
    ("lies", "count"),
    [
        (Lies(count_off=3), 9),
        (Lies(count_off=-2), 4),
        (Lies(counts="absent"), 6),
        (Lies(counts="empty"), 6),
        (Lies(counts="absent", duplicates=True), 6),
        (Lies(counts="absent", images=False), None),
        (Lies(padded=True), 6),
    ],
)
def test_a_count_is_what_the_archive_says_or_else_what_it_names(
    archive: Archive, liar: LyingPacs, lies: Lies, count: int | None
) -> None:
    liar.lies = lies
    assert archive.count(STUDY) == count


def test_a_study_that_is_not_there_has_no_count(archive: Archive) -> None:
    assert archive.count("1.2.3") is None
    assert archive.instances("1.2.3") is None
    assert archive.series("1.2.3") == []


def test_an_archive_that_does_not_answer_at_image_level_says_so(archive: Archive, liar: LyingPacs) -> None:
    liar.lies = Lies(images=False)
    assert archive.instances(STUDY) is None
    liar.lies = Lies(answers=0)
    assert archive.instances(STUDY) is None


@pytest.mark.parametrize(
    ("charset", "name", "told"),
    [
        ("ISO_IR 100", "Müller^Ägidius", "Müller^Ägidius"),
        ("ISO_IR 100 untold", "Müller^Ägidius", "Müller^Ägidius"),
        ("ISO_IR 192", "Müller^Ägidius", "Müller^Ägidius"),
        ("ISO_IR 192", "Yamada^Tarou=山田^太郎", "Yamada^Tarou=^"),  # DefaultEncoding is Latin1
    ],
)
def test_names_of_every_character_set_are_read(
    archive: Archive, liar: LyingPacs, charset: str, name: str, told: str
) -> None:
    charset, _, untold = charset.partition(" untold")[0], "", "untold" in charset
    liar.held = [made(PERSON, SpecificCharacterSet=charset, PatientName=name)]
    liar.lies = Lies(charset=not untold, no_filters=True)
    [found] = archive.find(BY_ID)
    assert found.attributes["PatientName"] == told
    family = told.partition("^")[0]
    assert archive.find(Wanted("study", {"PatientID": PERSON.PatientID, "PatientName": f"{family}*"}))
    assert not archive.find(Wanted("study", {"PatientID": PERSON.PatientID, "PatientName": "Nobody*"}))


def test_letters_that_this_orthanc_would_drop_are_refused(archive: Archive, liar: LyingPacs) -> None:
    with pytest.raises(Rejected, match='DefaultEncoding of this Orthanc is Latin1: set it to "Utf8"'):
        archive.find(Wanted("study", {"PatientName": "山田*"}))
    assert liar.finds == []


def test_an_orthanc_in_utf8_reads_and_asks_in_every_letter(liar: LyingPacs, tmp_path: Path) -> None:
    liar.held = [made(PERSON, SpecificCharacterSet="ISO_IR 192", PatientName="Yamada^Tarou=山田^太郎")]
    orthanc = OrthancServer(tmp_path / "utf8", name="OURS", configuration={"DefaultEncoding": "Utf8"})
    with passing(orthanc):
        archive = connect(pacs(liar.port), client(orthanc))
        [found] = archive.find(Wanted("study", {"PatientName": "*山田*"}))
        assert found.attributes["PatientName"] == "Yamada^Tarou=山田^太郎"
        # Code extensions: Orthanc 1.10.1 refuses the whole answer.
        liar.held = [made(PERSON, SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientName="Yamada^Tarou=山田^太郎")]
        if orthanc.version < (1, 12):
            with pytest.raises(Rejected, match="cannot read the character set of the answers"):
                archive.find(BY_ID)
        else:
            assert archive.find(BY_ID)


# Refusals.


@pytest.mark.parametrize(
    ("lies", "kind", "words"),
    [
        (Lies(finds=0xA700), Rejected, r"C-FIND \(0xA700\): too many matches"),
        (Lies(finds=0xA900), Rejected, r"C-FIND \(0xA900\)"),
        (Lies(finds=0xC001), Rejected, r"C-FIND \(0xC001\): it cannot process the question"),
        (Lies(finds=0x0122), Rejected, r"C-FIND \(0x0122\): it does not offer this service"),
        (Lies(finds=0x0124), Rejected, "our AE title is not allowed"),
        (Lies(finds=0x0110), Retriable, "it failed while it worked on it"),
        (Lies(knows_caller=False), Rejected, "does not know our AE title: enter it there, or set local_ae"),
        (Lies(associations=0), Retriable, "rejects the association"),
        (Lies(abort_find=0), Retriable, "aborted the association"),
        (Lies(delay_s=4), Retriable, "no answer in time"),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, str) else "",
)
def test_each_refusal_of_a_question_has_its_reason(
    archive: Archive, liar: LyingPacs, lies: Lies, kind: type[DeidError], words: str
) -> None:
    liar.lies = lies
    with pytest.raises(kind, match=words) as caught:
        archive.find(BY_ID)
    assert_silent(caught.value)


@pytest.mark.parametrize(
    ("lies", "kind", "words"),
    [
        (Lies(moves=0xA701), Retriable, "0xA701"),
        (Lies(moves=0xA702), Retriable, r"C-MOVE \(0xA702\): it cannot send"),
        (Lies(moves=0xC001), Rejected, r"C-MOVE \(0xC001\)"),
        (Lies(instances=2), Retriable, "0xA702"),
        (Lies(abort_move=2), Retriable, "does not answer C-MOVE: it aborted the association"),
        (Lies(pause_s=4), Retriable, "no answer in time"),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, str) else "",
)
def test_each_refusal_to_send_has_its_reason(
    archive: Archive, liar: LyingPacs, lies: Lies, kind: type[DeidError], words: str
) -> None:
    [found] = archive.find(BY_ID)
    liar.lies = lies
    with pytest.raises(kind, match=words) as caught:
        archive.retrieve(found)
    assert_silent(caught.value)


def test_an_unknown_move_destination_is_told_with_its_mend(archive: Archive, liar: LyingPacs) -> None:
    [found] = archive.find(BY_ID)
    liar.known.clear()
    with pytest.raises(Rejected, match=r"0xA801\): it does not know the move destination: enter .*, or set move_to"):
        archive.retrieve(found)


def test_a_pacs_that_is_down_or_no_pacs_is_tried_again(server: OrthancServer) -> None:
    away = connect(pacs(free_port()), client(server))
    for act in (away.check, lambda: away.find(BY_ID), lambda: away.retrieve(Found(STUDY))):
        with pytest.raises(Retriable, match=r"connection refused|association cannot be opened"):
            act()
    with pytest.raises(Retriable):
        connect(pacs(server.http_port, timeout_s=1), client(server)).check()


def assert_silent(error: BaseException) -> None:
    """Fail where a value of a question or an answer is in an exception or in what stands behind it."""
    told = "".join(traceback.format_exception(error))
    assert [marker for marker in (*PERSON.markers, '"PACS"') if marker in told] == []


def test_an_archive_may_be_slower_than_our_orthanc(server: OrthancServer, liar: LyingPacs) -> None:
    hasty = Orthanc(replace(client(server).address, timeout_s=0.5))
    liar.lies = Lies(delay_s=1)
    assert len(connect(pacs(liar.port), hasty).find(BY_ID)) == 1


def test_tls_that_is_not_set_up_is_told_and_nothing_goes_without(server: OrthancServer, liar: LyingPacs) -> None:
    archive = connect(pacs(liar.port, tls=True), client(server))
    with pytest.raises(DeidError, match=r"DICOM TLS is not set up in orthanc\.json"):
        archive.find(BY_ID)
    assert liar.finds == []


# Retrieving.


def test_a_study_a_series_and_single_instances_arrive(archive: Archive, liar: LyingPacs, server: OrthancServer) -> None:
    [found] = archive.find(BY_ID)
    some = two_series(PERSON)
    archive.retrieve(found, [instance(some[0]), instance(some[5])])
    assert held(server) == uids([some[0], some[5]])
    [series] = archive.find(Wanted("series", {"StudyInstanceUID": STUDY, "SeriesNumber": "1"}))
    archive.retrieve(series)
    assert held(server) == uids([*some[:3], some[5]])
    archive.retrieve(found)
    assert held(server) == uids(some)
    assert [move.level for move in liar.moves] == ["IMAGE", "IMAGE", "SERIES", "STUDY"]
    assert {move.target for move in liar.moves} == {"OURS"}


def test_many_single_instances_come_over_one_association(
    archive: Archive, liar: LyingPacs, server: OrthancServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dicom, "AT_ONCE", 4)
    many = [made(PERSON, series=4, number=n) for n in range(1, 8)]
    liar.add(*many)
    liar.callers.clear()
    archive.retrieve(Found(STUDY), [instance(ds) for ds in many])
    assert held(server) == uids(many)
    assert len(liar.callers) == 4  # C-FIND and C-MOVE, twice


@pytest.mark.parametrize(
    ("lies", "arrived"),
    [
        (Lies(missing=2), 4),
        (Lies(withheld=frozenset({f"{STUDY}.2.3"})), 5),
        (Lies(twice=True), 6),
        (Lies(strangers=True), 7),
        (Lies(duplicates=True), 6),
        (Lies(padded=True), 6),
        (Lies(no_filters=True), 6),
    ],
)
def test_success_is_taken_as_it_is_told(
    archive: Archive, liar: LyingPacs, server: OrthancServer, lies: Lies, arrived: int
) -> None:
    liar.lies = lies
    [found] = archive.find(BY_ID)
    archive.retrieve(found)
    assert len(held(server)) == arrived
    assert [move.keys["StudyInstanceUID"].strip() for move in liar.moves] == [STUDY]


def test_a_target_or_move_to_is_where_it_goes(server: OrthancServer, liar: LyingPacs) -> None:
    liar.known["ELSEWHERE"] = ("127.0.0.1", server.dicom_port)
    archive = connect(pacs(liar.port, move_to="ELSEWHERE", local_ae="CALLER"), client(server))
    archive.retrieve(Found(STUDY))
    archive.retrieve(Found(STUDY), target="OURS")
    assert [move.target for move in liar.moves] == ["ELSEWHERE", "OURS"]
    assert set(liar.callers) == {"CALLER"}


def test_what_has_gone_meanwhile_is_refused(archive: Archive, liar: LyingPacs) -> None:
    with pytest.raises(Rejected, match="does not find the study that it has told of"):
        archive.retrieve(Found("1.2.3"))
    assert liar.moves == []


def test_who_must_stop_cancels_the_job(server: OrthancServer, liar: LyingPacs) -> None:
    def going() -> None:
        if liar.moves:
            raise Postponed("the window has closed", 60)

    archive = connect(pacs(liar.port), client(server), going)
    many = [made(PERSON, series=4, number=n) for n in range(1, 21)]
    liar.add(*many)
    liar.lies = Lies(pause_s=0.05)
    with pytest.raises(Postponed, match="window has closed"):
        archive.retrieve(Found(STUDY), [instance(ds) for ds in many])
    [job] = [job for job in server.get("/jobs?expand").json() if job["State"] in ("Running", "Failure")][-1:]
    wait_for(lambda: server.get(f"/jobs/{job['ID']}").json()["State"] == "Failure", 10)
    assert len(liar.moves) < 20


def test_a_job_that_somebody_cancels_is_tried_again(server: OrthancServer, liar: LyingPacs) -> None:
    def cancel() -> None:
        for job in server.get("/jobs?expand").json():
            if liar.moves and job["State"] == "Running":
                server.post(f"/jobs/{job['ID']}/cancel", json={})

    some = [made(PERSON, series=4, number=n) for n in range(1, 6)]
    liar.add(*some)
    liar.lies = Lies(pause_s=0.2)
    with pytest.raises(Retriable, match="C-MOVE has ended for a reason that is not known"):
        connect(pacs(liar.port), client(server), cancel).retrieve(Found(STUDY), [instance(ds) for ds in some])


def test_what_a_dead_worker_has_left_running_is_waited_for_and_not_begun_again(
    server: OrthancServer, liar: LyingPacs
) -> None:
    liar.lies = Lies(pause_s=0.3)
    archives = [connect(pacs(liar.port), client(server)) for _ in range(2)]
    dead = threading.Thread(target=archives[0].retrieve, args=(Found(STUDY),))
    dead.start()
    wait_for(lambda: liar.moves, 10)
    archives[1].retrieve(Found(STUDY))
    assert len(held(server)) == 6
    assert len(liar.moves) == 1
    dead.join(10)


def test_c_get_needs_an_orthanc_that_has_it(server: OrthancServer, liar: LyingPacs) -> None:
    archive = connect(pacs(liar.port, retrieve="get"), client(server))
    with pytest.raises(ConfigurationError, match="C-GET") as caught:
        archive.retrieve(Found(STUDY), target="OTHER")
    if server.version < (1, 12, 7):
        assert "this Orthanc has no C-GET" in str(caught.value)
        with pytest.raises(ConfigurationError, match=r"this Orthanc has no C-GET: Orthanc 1\.12\.7"):
            archive.check()
        return
    archive.check()
    archive.retrieve(Found(STUDY))
    assert len(held(server)) == 6
    assert (len(liar.gets), liar.moves) == (1, [])


# Real ones.


def test_dcmtk_is_asked_and_sends(server: OrthancServer, tmp_path: Path) -> None:
    with Dcmqrscp(tmp_path / "qr", "DCMQR", move_to={"OURS": server.dicom_port}) as running:
        _fill(server, running.port, "DCMQR")
        _exercise(connect(pacs(running.port, "DCMQR"), client(server)), server)


def test_a_second_orthanc_is_asked_and_sends(server: OrthancServer, tmp_path: Path) -> None:
    known = {"ours": ["OURS", "127.0.0.1", server.dicom_port]}
    second = OrthancServer(tmp_path / "second", name="SECOND", configuration={"DicomModalities": known})
    second.start()
    try:
        for ds in [*two_series(PERSON), *THEIRS]:
            second.upload(encoded(ds)).raise_for_status()
        _exercise(connect(pacs(second.dicom_port, "SECOND"), client(server)), server)
    finally:
        second.kill()


def _exercise(archive: Archive, server: OrthancServer) -> None:
    assert archive.check() == "answers C-ECHO and C-FIND"
    [found] = archive.find(BY_ID)
    assert (found.study_uid, archive.count(STUDY)) == (STUDY, 6)
    told = archive.instances(STUDY)
    assert told is not None
    assert len(told) == 6
    assert len(archive.series(STUDY)) == 2
    [series] = archive.find(Wanted("series", {"PatientID": PERSON.PatientID, "SeriesNumber": "2"}))
    archive.retrieve(series, [told[0]])
    assert held(server) == {told[0].sop_uid}
    archive.retrieve(series)
    assert len(held(server)) in (3, 4)
    archive.retrieve(found)
    assert held(server) == uids(two_series(PERSON))


def _fill(server: OrthancServer, port: int, ae: str) -> None:
    for ds in [*two_series(PERSON), *THEIRS]:
        server.upload(encoded(ds)).raise_for_status()
    body: dict[str, Any] = {"AET": ae, "Host": "127.0.0.1", "Port": port}
    server.request("PUT", "/modalities/fill", json=body).raise_for_status()
    server.post("/modalities/fill/store", json={"Resources": server.studies()}).raise_for_status()
    for study in server.studies():
        server.request("DELETE", f"/studies/{study}")
