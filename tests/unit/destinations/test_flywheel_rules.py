"""Rules of the Flywheel destination that need no site: diagnoses, classes, labels, digests, settings."""

import hashlib
import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from flywheel_studies import settings
from orthanc_deid.destinations.flywheel import classification, digests, labels
from orthanc_deid.destinations.flywheel.diagnosis import LAST_RESORT, diagnosis_project, project_of
from orthanc_deid.errors import ConfigurationError, Rejected
from orthanc_deid.settings.flywheel import MAPPING, Diagnoses

SHIPPED = json.loads(MAPPING.read_text(encoding="utf-8"))


def test_the_shipped_mapping_holds_43_diagnoses_and_48_combinations() -> None:
    assert len(SHIPPED) == 91
    assert sum("; " in key for key in SHIPPED) == 48
    assert SHIPPED["Dysplasia/Gliosis; Glial-neuronal tumor NOS"] == "Dysplasia_Gliosis_NOS"
    assert SHIPPED["Supratentorial or Spinal Cord PNET"] == "PNET"
    combined = [key.split("; ") for key in SHIPPED]
    assert all(parts == sorted(parts) and set(parts) <= SHIPPED.keys() for parts in combined)


@pytest.mark.parametrize(
    ("rows", "age", "project"),
    [
        ([], 100.0, "Other_v2"),
        ([("Not Reported", 1.0), ("Other", 2.0)], 100.0, "Other_v2"),
        ([("Ependymoma", None)], None, "Ependymoma_v2"),
        ([("Ependymoma", 10.0), ("Medulloblastoma", 900.0)], 460.0, "Medullo_v2"),
        ([("Ependymoma", 10.0), ("Medulloblastoma", 900.0)], 450.0, "Ependymoma_v2"),
        ([("Ependymoma", 0.0), ("Medulloblastoma", 900.0)], 450.0, "Ependymoma_v2"),  # equally near: the first
        ([("Other", 460.0), ("Medulloblastoma", 10.0)], 460.0, "Medullo_v2"),
        ([(LAST_RESORT, 460.0), ("Medulloblastoma", 10.0)], 460.0, "Medullo_v2"),
        ([(LAST_RESORT, 460.0), ("Other", 10.0)], 460.0, "PNET_v2"),
        ([("Ganglioglioma; Other", 10.0)], 10.0, "LGG_v2"),
    ],
)
def test_the_nearest_diagnosis_names_the_project(
    rows: list[tuple[str, float | None]], age: float | None, project: str
) -> None:
    assert diagnosis_project(rows, age, SHIPPED, "_v2") == project


def test_what_cannot_be_told_is_refused_without_naming_it() -> None:
    with pytest.raises(Rejected, match="add it to the file") as told:
        diagnosis_project([("Unheard of", 1.0)], 1.0, SHIPPED)
    assert "Unheard" not in str(told.value)
    several = [("Ependymoma", 1.0), ("Medulloblastoma", 2.0)]
    with pytest.raises(Rejected, match="no age"):
        diagnosis_project(several, None, SHIPPED)


def test_the_table_is_read_by_pseudonym(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text(
        "\ufeffCBTN Subject ID,Diagnosis,Age at Diagnosis\nC1, Ependymoma ,n/a\nC2,Medulloblastoma,5\nC1,,7\n", "utf-8"
    )
    given = Diagnoses(table=table, suffix="")
    assert project_of(given, "C1", None) == "Ependymoma"
    assert project_of(given, "C2", 1.0) == "Medullo"
    assert project_of(given, "C3", 1.0) == "Other"


@pytest.mark.parametrize("content", [b"", b"ID,Diagnosis\n", b"\xff\xfe\x00"])
def test_a_table_that_is_none_is_a_mistake_of_the_configuration(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "table.csv").write_bytes(content)
    with pytest.raises(ConfigurationError, match="table of diagnoses"):
        project_of(Diagnoses(table=tmp_path / "table.csv"), "C1", None)


@pytest.mark.parametrize("content", ["[]", '{"a": 1}', "{"])
def test_a_mapping_that_is_none_is_a_mistake_of_the_configuration(tmp_path: Path, content: str) -> None:
    (tmp_path / "table.csv").write_text("CBTN Subject ID,Diagnosis,Age at Diagnosis\n")
    (tmp_path / "mapping.json").write_text(content)
    with pytest.raises(ConfigurationError, match="mapping of diagnoses"):
        project_of(Diagnoses(table=tmp_path / "table.csv", mapping=tmp_path / "mapping.json"), "C1", None)


@pytest.mark.parametrize(
    ("description", "measurement", "intent"),
    [
        ("Sag T1 MPRAGE", "T1", "Structural"),
        ("AX T2 FLAIR FS", "T2", "Structural"),
        ("ep2d_diff_mddw_20", "Diffusion", "Structural"),
        ("ADC", "Diffusion", "Structural"),
        ("BOLD resting state", "T2*", "Functional"),
        ("3 plane localizer", "T2", "Localizer"),
        ("SWI_Images", "Susceptibility", "Structural"),
        ("gre_field_mapping", "B0", "Fieldmap"),
        ("pcasl_3d", "Perfusion", None),
    ],
)
def test_an_mr_series_is_classified_by_its_description(description: str, measurement: str, intent: str | None) -> None:
    found = classification.classify("MR", description)
    assert found["Measurement"] == (measurement,)
    assert found.get("Intent", (None,)) == (intent,)


def test_what_the_table_does_not_know_gets_no_class() -> None:
    assert classification.classify("MR", "xyz") == {}
    assert classification.classify("CT", "T1 MPRAGE") == {}


def test_a_digest_is_known_by_its_length(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    ours = digests.read(tmp_path / "file")
    assert ours.agree(7, "v0-sha384-" + hashlib.sha384(b"content").hexdigest()) is True
    assert ours.agree(7, hashlib.sha256(b"content").hexdigest().upper()) is True
    assert ours.agree(7, hashlib.sha256(b"other").hexdigest()) is False
    assert ours.agree(8, hashlib.sha256(b"content").hexdigest()) is False
    assert ours.agree(7, "AAAAAA==") is None
    assert ours.agree(7, "z" * 64) is None
    assert ours.agree(7, None) is None
    assert digests.Digests(7, "", "", "").agree(7, "0" * 32) is None


def test_free_labels_hold_nothing_that_flywheel_reads_as_a_path_or_filter() -> None:
    given = settings(free_labels=True, acquisition="{SeriesNumber:02d} - {SeriesDescription}")
    values = {"SeriesNumber": "3", "SeriesDescription": 'T1 "a"/b, <c>\x00  d'}
    assert labels.label(given, given.acquisition, values) == "03 - T1 _a_b_ _c_ d"


@pytest.mark.parametrize(
    ("born", "age", "days"), [("", "010Y", 3652), ("", "010D", 10), ("", "old", None), ("20200228", "010Y", 2)]
)
def test_the_age_is_that_of_the_deidentified_study(born: str, age: str, days: float | None) -> None:
    facts = {"MainDicomTags": {"StudyDate": "20200301"}, "PatientMainDicomTags": {"PatientBirthDate": born}}
    tags = {"0010,1010": {"Name": "PatientAge", "Type": "String", "Value": age}}
    assert labels.read(settings(), facts, "default", tags).age_days == days


def test_the_session_can_be_named_by_age_body_part_and_time() -> None:
    facts = {"MainDicomTags": {"StudyDate": "20200301", "StudyTime": "091500", "StudyDescription": "MR Brain"}}
    tags = {"0010,1010": {"Name": "PatientAge", "Type": "String", "Value": "010D"}}
    rules = {"parts": [{"words": ["brain"], "abbreviation": "B", "part": "brain"}]}
    given = settings(session="{session}", session_labels=rules)
    made = labels.read(given, facts, "default", tags)
    assert made.values["session"] == "10d_B_brain_09h15m"
    assert len(made.remarks) == 1  # the age is none in days, but made of PatientAge
    with pytest.raises(Rejected, match="no description names a part"):
        labels.read(given, {"MainDicomTags": {"StudyDate": "20200301"}}, "default", tags)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"api_key_env": None}, "give api_key_file or api_key_env"),
        ({"api_key_file": "/key"}, "one of the two"),
        ({"subject": "{PatientIDs}"}, "did you mean {PatientID}"),
        ({"session": "{SeriesNumber}"}, "no field {SeriesNumber} for a study"),
        ({"session": "a/b"}, "a label has no /"),
        ({"group": "Lab"}, "group"),
        ({"project": "{PatientID}", "diagnoses": {"table": "t.csv"}}, "not both"),
        ({"content": []}, "content"),
    ],
)
def test_a_mistake_in_the_settings_is_named(more: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError) as error:
        settings(**more)
    assert told in str(error.value)
