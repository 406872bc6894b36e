import json
from pathlib import Path
from typing import Any

import pydicom
import pytest

from instances import instance
from objects import PROFILES
from orthanc_deid import __version__, door_rules, settings
from orthanc_deid.arrival import Arrival, load
from orthanc_deid.confidentiality.deidentify import deidentify
from orthanc_deid.confidentiality.encode import decode
from orthanc_deid.confidentiality.identifiers import Identifiers
from orthanc_deid.confidentiality.profile import Profile
from orthanc_deid.confidentiality.pseudonyms import Patient, Pseudonyms
from orthanc_deid.errors import ConfigurationError, Rejected
from orthanc_deid.keyring import Keyring
from studies import Person, ct_instance

KEY = "0123456789abcdef" * 4


def rules(folder: Path, text: str = "") -> Any:  # noqa: ANN401  # JSON
    """Answer what main.py gets through the pipe."""
    (folder / "key").write_text(KEY + "\n")
    config = folder / "deid.yaml"
    config.write_text(f"intake: {{on_arrival: true}}\n{text}")
    loaded = settings.load({"ORTHANC_DEID_HOME": str(folder), "ORTHANC_DEID_CONFIG": str(config)})
    return json.loads(json.dumps(door_rules.rules(loaded)["arrival"]))


def arrival(folder: Path, text: str = "") -> Arrival:
    return load(rules(folder, text))


def pseudonyms(folder: Path, project: str) -> Pseudonyms:
    return Pseudonyms(Keyring(folder).project(project))


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_an_output_is_that_of_the_direct_door_and_holds_no_marker(tmp_path: Path, profile: Profile) -> None:
    person = Person(1)
    source = ct_instance(person)
    output = arrival(tmp_path, f"projects: [{{name: default, profile: {profile.name}}}]")(source)
    expected = deidentify(source, profile, pseudonyms(tmp_path, "default"), Identifiers(), version=__version__)
    assert output == expected.data
    kept = ("1.2.826.0.1.3680043.10.1337",) if "uids" in profile.name else ()
    assert [marker for marker in person.markers if marker.encode() in output and marker not in kept] == []


def test_ids_are_those_of_the_projects_pseudonyms(tmp_path: Path) -> None:
    person = Person(2)
    ds = decode(arrival(tmp_path, "projects: [{name: trial}]")(ct_instance(person)))
    original = decode(ct_instance(person))
    mine = pseudonyms(tmp_path, "trial")
    assert ds.PatientID == mine.patient_id(Patient("", person.PatientID))
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
        assert ds[keyword].value == mine.uid(str(original[keyword].value))


def test_the_first_project_of_the_instances_own_modality_takes_it(tmp_path: Path) -> None:
    text = "projects: [{name: mr, match: {modality: [MR, PT]}}, {name: ct, match: {modality: [CT]}}, {name: rest}]"
    made = arrival(tmp_path, text)
    for modality, project in (("PT", "mr"), ("CT", "ct"), ("SR", "rest"), (None, "rest")):
        uid = decode(made(instance(Modality=modality, StudyInstanceUID="1.2.3"))).StudyInstanceUID
        assert uid == pseudonyms(tmp_path, project).uid("1.2.3")


def test_an_instance_that_no_project_takes_is_rejected(tmp_path: Path) -> None:
    made = arrival(tmp_path, "projects: [{name: mr, match: {modality: [MR]}}]")
    for modality in ("CT", "", None):
        with pytest.raises(Rejected, match=r"^no project matches$"):
            made(instance(Modality=modality))


def test_an_identified_instance_that_carries_our_mark_is_deidentified(tmp_path: Path) -> None:
    marked = instance(
        PatientName="Zyxwvut^Anna", PatientIdentityRemoved="YES", DeidentificationMethod=f"Orthanc De-ID {__version__}"
    )
    assert b"Zyxwvut" not in arrival(tmp_path)(marked)


def test_an_output_that_comes_back_is_deidentified_once_more(tmp_path: Path) -> None:
    made = arrival(tmp_path)
    once = made(ct_instance(Person(3)))
    twice = made(once)
    ids = [{ds.PatientID, ds.SOPInstanceUID} for ds in (decode(once), decode(twice))]
    assert not ids[0] & ids[1]
    assert pydicom.dcmread(tmp_path / _write(tmp_path, twice)).PatientIdentityRemoved == "YES"


def _write(folder: Path, data: bytes) -> str:
    (folder / "twice.dcm").write_bytes(data)
    return "twice.dcm"


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_a_profile_is_the_same_after_the_pipe(tmp_path: Path, profile: Profile) -> None:
    [project] = rules(tmp_path, f"projects: [{{name: a, profile: {profile.name}}}]")["projects"]
    assert Profile.model_validate_json(json.dumps(project["profile"])).digest == profile.digest


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "FileNotFoundError"), (b"", "64 hex"), (b"\n", "64 hex"), (b"xyz", "64 hex"), (b"\xff", "Unicode")],
)
def test_a_key_that_cannot_be_read_stops_the_load(tmp_path: Path, content: bytes | None, why: str) -> None:
    found = rules(tmp_path)
    (tmp_path / "key").unlink()
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    with pytest.raises(ConfigurationError, match=why):
        load(found)
