"""The Flywheel destination by the real SDK: what arrives, exactly once, and is proved."""

import io
import json
import logging
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fake_flywheel import FakeFlywheel
from flywheel_studies import KEY_VARIABLE, Study, settings
from orthanc_deid.destinations.base import Converted
from orthanc_deid.destinations.flywheel import FlywheelDestination
from orthanc_deid.errors import ConfigurationError, Postponed, Rejected, Retriable
from servers import OrthancServer
from shipments import FixedResults, NoPace, client, make_shipment, passing
from studies import Person, ct_study

pytest.importorskip("flywheel")


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    with passing(OrthancServer(tmp_path_factory.mktemp("orthanc"))) as server:
        yield server


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeFlywheel]:
    with FakeFlywheel() as fake:
        monkeypatch.setenv(KEY_VARIABLE, fake.key)
        fake.add("projects", label="default", group="lab", parents={"group": "lab"})
        yield fake


@pytest.fixture
def study(orthanc: OrthancServer) -> Study:
    made = Study(orthanc)
    made.add(1)
    made.add(2, description="ax T2 FLAIR")
    return made


def destination(study: Study, **more: object) -> FlywheelDestination:
    return FlywheelDestination(settings(**more), client(study.orthanc))


def test_a_study_arrives_as_one_zip_for_each_series_and_is_confirmed(
    site: FakeFlywheel, study: Study, tmp_path: Path
) -> None:
    shipment = make_shipment(tmp_path, study.orthanc, study.id)
    target = destination(study)
    target.send(shipment)
    assert target.confirm(shipment) == 4
    assert site.labels("subjects") == ["sub-001"]
    assert site.labels("sessions") == [study.StudyInstanceUID]
    assert set(site.files()) == {
        "01-T1_MPRAGE_sag/01-T1_MPRAGE_sag.dicom.zip",
        "02-ax_T2_FLAIR/02-ax_T2_FLAIR.dicom.zip",
    }
    with zipfile.ZipFile(io.BytesIO(site.content("01-T1_MPRAGE_sag/01-T1_MPRAGE_sag.dicom.zip"))) as packed:
        assert packed.namelist() == [f"{study.StudyInstanceUID}.1.{n}.dcm" for n in (1, 2)]
        assert packed.read(packed.namelist()[0]) == study.orthanc.get(f"/instances/{study.instances[0]}/file").content


def test_a_second_send_makes_and_sends_nothing(site: FakeFlywheel, study: Study, tmp_path: Path) -> None:
    shipment = make_shipment(tmp_path, study.orthanc, study.id)
    destination(study).send(shipment)
    before = [call for call in site.calls if call.method != "GET"]
    destination(study).send(shipment)
    assert [call for call in site.calls if call.method != "GET"] == before


FIRST = "01-T1_MPRAGE_sag/01-T1_MPRAGE_sag.dicom.zip"
SECOND = "02-ax_T2_FLAIR/02-ax_T2_FLAIR.dicom.zip"


def deliver(study: Study, folder: Path, **more: object) -> int:
    shipment = make_shipment(folder, study.orthanc, study.id)
    target = destination(study, **more)
    target.send(shipment)
    return target.confirm(shipment)


def test_what_has_not_arrived_is_not_confirmed(site: FakeFlywheel, study: Study, tmp_path: Path) -> None:
    shipment = make_shipment(tmp_path, study.orthanc, study.id)
    with pytest.raises(Retriable, match="0 of 2 files"):
        destination(study).confirm(shipment)
    assert site.created() == {}


def test_check_proves_the_log_in_and_the_group(site: FakeFlywheel, study: Study) -> None:
    assert destination(study).check() == "Flywheel; the group can be seen; roles of the key's user: user"
    with pytest.raises(ConfigurationError, match="no group"):
        destination(study, group="other").check()
    assert site.created() == {}


@pytest.mark.parametrize("style", ["plain", "s3", "gcs"])
def test_large_files_go_in_parts_where_the_site_signs_urls(
    site: FakeFlywheel, study: Study, tmp_path: Path, style: str
) -> None:
    site.signed, site.style, site.part_bytes = True, style, 256 * 1024
    study.add(3, description="big", bulk=600)
    assert deliver(study, tmp_path) == 6
    assert site.count("PUT", r".*/[0-9]+") == 5  # 3 for the large zip, 1 for each of the others
    assert zipfile.ZipFile(io.BytesIO(site.content("03-big/03-big.dicom.zip"))).testzip() is None
    to_storage = [call for call in site.calls if not call.path.startswith("/api/")]
    assert all("Authorization" not in call.headers for call in to_storage)


def test_a_url_of_s3_for_one_piece_confuses_the_sdk_and_not_us(
    site: FakeFlywheel, study: Study, tmp_path: Path
) -> None:
    site.signed, site.style = True, "s3-single"
    assert deliver(study, tmp_path) == 4
    assert {each["version"] for each in site.files().values()} == {1}


def test_containers_can_come_about_by_upsert(site: FakeFlywheel, study: Study, tmp_path: Path) -> None:
    study.add(3, number=1)  # the label of series 1
    assert deliver(study, tmp_path, hierarchy="upsert") == 6
    assert deliver(study, tmp_path / "again", hierarchy="upsert") == 6
    assert site.labels("subjects") == ["sub-001"]
    assert site.labels("sessions") == [study.StudyInstanceUID]
    assert site.labels("acquisitions") == ["01-T1_MPRAGE_sag", "01-T1_MPRAGE_sag-2", "02-ax_T2_FLAIR"]
    assert {each["version"] for each in site.files().values()} == {1}


@pytest.mark.parametrize("PatientID", ["00123", "2020-01-31", "null"])
def test_a_subject_is_found_again_whatever_its_label_looks_like(
    site: FakeFlywheel, orthanc: OrthancServer, tmp_path: Path, PatientID: str
) -> None:
    for number in (1, 2):
        study = Study(orthanc, PatientID)
        study.add(1)
        deliver(study, tmp_path / str(number))
    assert site.labels("subjects") == [PatientID]
    assert len(site.labels("sessions")) == 2
    assert site.count("POST", "/api/subjects") == 1


def test_a_subject_that_two_make_at_once_is_one(site: FakeFlywheel, study: Study, tmp_path: Path) -> None:
    project = next(iter(site.containers["projects"]))
    site.add("subjects", label="sub-001", project=project, parents={"group": "lab", "project": project})
    del site.containers["groups"]["lab"]["label"]
    real, hidden = site.matching, [True]
    site.matching = lambda *all_: [] if "subjects" in all_ and hidden and hidden.pop() else real(*all_)  # type: ignore[method-assign]
    assert deliver(study, tmp_path) == 4
    assert site.labels("subjects") == ["sub-001"]


def test_two_series_of_one_label_stay_two(site: FakeFlywheel, study: Study, tmp_path: Path) -> None:
    study.add(3, number=1)
    assert deliver(study, tmp_path) == 6
    assert site.labels("acquisitions") == ["01-T1_MPRAGE_sag", "01-T1_MPRAGE_sag-2", "02-ax_T2_FLAIR"]
    assert len(site.files()) == 3


def test_two_studies_of_one_session_label_stay_two(site: FakeFlywheel, orthanc: OrthancServer, tmp_path: Path) -> None:
    for number in (1, 2):
        study = Study(orthanc)
        study.add(1)
        deliver(study, tmp_path / str(number), session="visit")
    assert site.labels("sessions") == ["visit", "visit-2"]


def test_a_session_that_another_tool_has_made_is_used(site: FakeFlywheel, study: Study, tmp_path: Path) -> None:
    project = next(iter(site.containers["projects"]))
    above = {"group": "lab", "project": project}
    subject = site.add("subjects", label="sub-001", project=project, parents=above)
    place = {"parents": above | {"subject": subject}, "subject": {"_id": subject, "label": "sub-001"}}
    session = site.add("sessions", label="visit", **place)
    site.add("acquisitions", label="01-T1_MPRAGE_sag", parents=place["parents"] | {"session": session})
    study.add(3, number=1)
    deliver(study, tmp_path, session="visit")
    assert site.labels("sessions") == ["visit"]
    assert site.labels("acquisitions") == ["01-T1_MPRAGE_sag", "01-T1_MPRAGE_sag-2", "02-ax_T2_FLAIR"]


def test_late_instances_make_a_new_version_of_their_zip_alone(site: FakeFlywheel, study: Study, tmp_path: Path) -> None:
    deliver(study, tmp_path)
    late = study.add(2, first=3, count=1, description="ax T2 FLAIR")
    shipment = make_shipment(tmp_path, study.orthanc, study.id, new=late, version=2)
    target = destination(study, existing="skip")  # what is ours is brought up to date in any case
    with pytest.raises(Retriable, match="1 of 2"):
        target.confirm(shipment)
    target.send(shipment)
    assert target.confirm(shipment) == 5
    assert {name: file["version"] for name, file in site.files().items()} == {FIRST: 1, SECOND: 2}
    assert len(zipfile.ZipFile(io.BytesIO(site.content(SECOND))).namelist()) == 3
    assert shipment.pace.bytes_sent == site.files()[SECOND]["size"]  # type: ignore[attr-defined]


def test_a_study_that_was_processed_anew_replaces_what_differs(
    site: FakeFlywheel, study: Study, tmp_path: Path
) -> None:
    deliver(study, tmp_path)
    study.add(2, description="ax T2 FLAIR", bulk=40)  # the same UIDs, another content
    shipment = make_shipment(tmp_path, study.orthanc, study.id, version=2)
    changed = [study.orthanc.request("DELETE", f"/instances/{i}").status_code for i in study.instances[2:]]
    assert changed == [200, 200]
    study.add(2, description="ax T2 FLAIR", bulk=40)
    destination(study).send(shipment)
    assert {name: file["version"] for name, file in site.files().items()} == {FIRST: 1, SECOND: 2}


def test_an_acquisition_that_was_deleted_there_is_made_anew(site: FakeFlywheel, study: Study, tmp_path: Path) -> None:
    deliver(study, tmp_path)
    site.containers["acquisitions"].clear()
    with pytest.raises(Retriable, match="0 of 2"):
        destination(study).confirm(make_shipment(tmp_path, study.orthanc, study.id))
    assert deliver(study, tmp_path) == 4
    assert len(site.labels("acquisitions")) == 2


def test_a_file_that_was_replaced_or_removed_there_is_not_confirmed(
    site: FakeFlywheel, study: Study, tmp_path: Path
) -> None:
    deliver(study, tmp_path)
    shipment = make_shipment(tmp_path, study.orthanc, study.id)
    file = site.files()[FIRST]
    site.put_file(file["parent_ref"]["id"], file["name"], b"other")
    with pytest.raises(Retriable, match="1 of 2"):
        destination(study).confirm(shipment)
    destination(study).send(shipment)
    assert destination(study).confirm(shipment) == 4
    assert site.files()[FIRST]["version"] == 3


@pytest.mark.parametrize("digest", ["v0-sha384", "sha256", "md5"])
def test_what_is_there_already_is_not_sent_again(site: FakeFlywheel, study: Study, tmp_path: Path, digest: str) -> None:
    site.digest = digest
    deliver(study, tmp_path / "first")
    assert deliver(study, tmp_path / "journal lost", existing="fail") == 4
    assert {each["version"] for each in site.files().values()} == {1}


@pytest.mark.parametrize("digest", ["crc32c", "none"])
def test_an_unknown_digest_leaves_size_and_version_as_proof(
    site: FakeFlywheel, study: Study, tmp_path: Path, digest: str
) -> None:
    site.digest = digest
    assert deliver(study, tmp_path) == 4
    file = site.files()[FIRST]
    site.put_file(file["parent_ref"]["id"], file["name"], bytes(file["size"]))
    with pytest.raises(Retriable, match="1 of 2"):
        destination(study).confirm(make_shipment(tmp_path, study.orthanc, study.id))


@pytest.mark.parametrize(("existing", "version"), [("replace", 2), ("skip", 1)])
def test_a_file_of_another_tool_is_replaced_or_kept(
    site: FakeFlywheel, study: Study, tmp_path: Path, existing: str, version: int
) -> None:
    deliver(study, tmp_path / "first")
    file = site.files()[FIRST]
    acquisition = site.containers["acquisitions"][file["parent_ref"]["id"]]
    acquisition["files"].clear()
    foreign = site.put_file(acquisition["_id"], file["name"], b"of another tool")
    target = destination(study, existing=existing)
    for _ in range(2):  # a second time it is known, and told all the same
        shipment = make_shipment(tmp_path / "second", study.orthanc, study.id)
        target.send(shipment)
        assert target.confirm(shipment) == 4
        kept = "1 of 2 files are not sent: Flywheel had others of their names, which were kept (existing: skip)"
        assert shipment.remarks == ([kept] if existing == "skip" else [])
    assert site.files()[FIRST]["version"] == foreign["version"] - 1 + version


def test_a_file_of_another_tool_can_stop_the_study(site: FakeFlywheel, study: Study, tmp_path: Path) -> None:
    deliver(study, tmp_path / "first")
    file = site.files()[FIRST]
    site.put_file(file["parent_ref"]["id"], file["name"], b"of another tool")
    with pytest.raises(Rejected, match="another file of that name"):
        deliver(study, tmp_path / "second", existing="fail")
    assert site.content(FIRST) == b"of another tool"


def conversions(study: Study, folder: Path, **sidecar: object) -> FixedResults:
    folder.mkdir()
    stem = "01-T1_MPRAGE_sag"
    told = {"SeriesNumber": 1, "EchoTime": 0.003, "ImageType": ["ORIGINAL"], **sidecar}
    content = {".nii.gz": b"voxels", ".json": json.dumps(told).encode(), ".bval": b"0", ".bvec": b"0"}
    for suffix, data in content.items():
        (folder / f"{stem}{suffix}").write_bytes(data)
    files = tuple(sorted(folder.iterdir()))
    return FixedResults(nifti_files=(Converted(series=study.series_id(1), files=files),))


def test_conversions_arrive_with_their_sidecar_as_info(site: FakeFlywheel, study: Study, tmp_path: Path) -> None:
    results = conversions(study, tmp_path / "nifti")
    shipment = make_shipment(tmp_path, study.orthanc, study.id, results=results)
    target = destination(study, content=["nifti"])
    target.send(shipment)
    assert target.confirm(shipment) == 4
    file = site.files()["01-T1_MPRAGE_sag/01-T1_MPRAGE_sag.nii.gz"]
    assert file["info"] == {"SeriesNumber": 1, "EchoTime": 0.003, "ImageType": ["ORIGINAL"]}
    assert file["modality"] == "MR"
    assert file["classification"] == {"Intent": ["Structural"], "Measurement": ["T1"]}
    assert len(site.files()) == 4
    before = [call for call in site.calls if call.method != "GET"]
    target.send(shipment)
    assert [call for call in site.calls if call.method != "GET"] == before


def test_metadata_that_was_not_written_is_made_up_for(site: FakeFlywheel, study: Study, tmp_path: Path) -> None:
    site.faults.refused_classes = True
    with pytest.raises(Rejected, match="classification: false"):
        deliver(study, tmp_path)
    site.faults.refused_classes = False
    assert deliver(study, tmp_path) == 4
    assert site.files()[SECOND]["classification"]["Features"] == ["FLAIR"]
    assert {each["version"] for each in site.files().values()} == {1}


def test_a_sidecar_that_tells_who_the_patient_is_stays_here(site: FakeFlywheel, study: Study, tmp_path: Path) -> None:
    results = conversions(study, tmp_path / "nifti", PatientName="Zyxwvut")
    shipment = make_shipment(tmp_path, study.orthanc, study.id, results=results)
    with pytest.raises(Rejected, match="tells who the patient is"):
        destination(study, content=["nifti"]).send(shipment)
    assert not site.files()


def test_a_study_without_any_conversion_is_not_taken_for_delivered(
    site: FakeFlywheel, study: Study, tmp_path: Path
) -> None:
    with pytest.raises(Rejected, match="no series of the study can be converted"):
        deliver(study, tmp_path, content=["nifti"])
    assert not site.files()


def test_a_missing_project_is_named_and_not_made(site: FakeFlywheel, study: Study, tmp_path: Path) -> None:
    site.containers["projects"].clear()
    with pytest.raises(Rejected, match="no project default: make it there, or set create_projects: true"):
        deliver(study, tmp_path)
    with pytest.raises(Rejected, match="no project that the rule names") as told:
        deliver(study, tmp_path, project="p-{PatientID}")
    assert study.PatientID not in str(told.value)
    assert site.created() == {}


def test_a_project_is_made_once_with_the_users_of_the_group(site: FakeFlywheel, study: Study, tmp_path: Path) -> None:
    for folder in ("first", "journal lost"):
        assert deliver(study, tmp_path / folder, create_projects=True, project="new") == 4
    assert site.labels("projects") == ["default", "new"]
    made = next(each for each in site.containers["projects"].values() if each["label"] == "new")
    assert [each["_id"] for each in made["permissions"]] == ["reader@example.org"]


def test_the_project_can_be_that_of_the_nearest_diagnosis(site: FakeFlywheel, study: Study, tmp_path: Path) -> None:
    table = tmp_path / "diagnoses.csv"
    table.write_text(
        "CBTN Subject ID,Diagnosis,Age at Diagnosis\nsub-001,Ependymoma,100\nsub-001,Medulloblastoma,3600\n"
    )
    assert deliver(study, tmp_path, create_projects=True, diagnoses={"table": str(table)}) == 4
    assert "Medullo_v2" in site.labels("projects")
    subject = next(iter(site.containers["subjects"].values()))
    assert site.containers["projects"][subject["parents"]["project"]]["label"] == "Medullo_v2"


@pytest.mark.parametrize("hierarchy", ["find", "upsert"])
def test_times_are_told_only_where_the_site_wants_them(
    site: FakeFlywheel, orthanc: OrthancServer, tmp_path: Path, hierarchy: str
) -> None:
    sessions = []
    for timestamps in (False, True):
        study = Study(orthanc)
        study.add(1)
        deliver(study, tmp_path / str(timestamps), timestamps=timestamps, hierarchy=hierarchy)
        sessions.append(next(s for s in site.containers["sessions"].values() if s["uid"] == study.StudyInstanceUID))
    assert not {"timestamp", "age"} & sessions[0].keys()
    assert sessions[1]["timestamp"] == "2020-03-01T09:15:00Z"
    assert sessions[1]["age"] == 3652 * 86400


def test_labels_can_keep_their_blanks(site: FakeFlywheel, study: Study, tmp_path: Path) -> None:
    template = "{SeriesNumber:02d} - {SeriesDescription}"
    deliver(study, tmp_path, free_labels=True, acquisition=template)
    assert site.labels("acquisitions") == ["01 - T1 MPRAGE sag", "02 - ax T2 FLAIR"]


def test_a_patient_without_an_id_gets_no_subject_with_others(
    site: FakeFlywheel, orthanc: OrthancServer, tmp_path: Path
) -> None:
    study = Study(orthanc, "")
    study.add(1)
    with pytest.raises(Rejected, match="no PatientID"):
        deliver(study, tmp_path)
    assert site.created() == {}


def test_what_is_sent_before_the_window_closes_is_not_sent_again(
    site: FakeFlywheel, study: Study, tmp_path: Path
) -> None:
    shipment = make_shipment(tmp_path, study.orthanc, study.id, pace=NoPace(until=1))
    with pytest.raises(Postponed):
        destination(study).send(shipment)
    assert set(site.files()) == {FIRST}
    assert deliver(study, tmp_path) == 4
    assert {each["version"] for each in site.files().values()} == {1}


def test_nothing_of_another_study_is_told_or_logged(
    site: FakeFlywheel,
    study: Study,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    person = Person(7)
    for file in ct_study(person, 2):
        study.orthanc.upload(file)
    with caplog.at_level(logging.DEBUG):
        deliver(study, tmp_path)
        site.faults.forbidden = ("acquisitions",)
        with pytest.raises(Rejected) as told:
            deliver(study, tmp_path / "again")
    written = caplog.text + "".join(capfd.readouterr()) + str(told.value)
    everything = site.everything() + "".join(zip_names(site))
    assert not [marker for marker in person.markers if marker in written + everything]
    of_ours = (study.PatientID, study.StudyInstanceUID, "MPRAGE", site.key.rpartition(":")[2], "acquisitions/")
    ours = "\n".join(line for line in written.splitlines() if "pydicom" not in line)
    assert not [value for value in of_ours if value in ours]


def zip_names(site: FakeFlywheel) -> list[str]:
    return [name for file in site.files() for name in zipfile.ZipFile(io.BytesIO(site.content(file))).namelist()]


def test_no_thread_of_the_sdk_lives_on(site: FakeFlywheel, study: Study, tmp_path: Path) -> None:
    deliver(study, tmp_path)
    assert not [each.name for each in threading.enumerate() if "ThreadPool" in each.name or "Pool" in repr(each)]
    assert site.files()


def test_without_the_sdk_the_way_to_it_is_told(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "flywheel.example.org:key")
    monkeypatch.setitem(sys.modules, "flywheel", None)
    with pytest.raises(ConfigurationError, match=r"\./run setup flywheel"):
        destination(study).check()


@pytest.mark.parametrize("key", ["", "key", "http://host:443:key", "host:port:key"])
def test_a_key_that_is_none_is_told_before_anything_is_asked(
    study: Study, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, key)
    with pytest.raises(ConfigurationError) as told:
        destination(study).check()
    assert not key or key not in str(told.value).replace("host:KEY", "").replace("the key", "").replace("KEY", "")
