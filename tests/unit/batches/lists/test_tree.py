"""Where retrieved images are put: names as PACSIFIER makes them, safe and each of one patient and series."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orthanc_deid.batches.lists import once, tree
from orthanc_deid.batches.lists.tree import Tree

FIXED = settings(
    max_examples=200,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
SERIES = {
    "PatientID": "1234",
    "StudyInstanceUID": "1.2",
    "StudyDate": "20150423",
    "StudyTime": "110533",
    "SeriesInstanceUID": "1.2.1",
    "SeriesNumber": "3",
    "SeriesDescription": "T1 MPRAGE/sag",
}


def place(root: Path, **other: str) -> str:
    return str(Tree(root).folder(SERIES | other).relative_to(root))


def test_a_series_has_its_place(tmp_path: Path) -> None:
    assert place(tmp_path) == "sub-1234/ses-20150423110533/00003-T1_MPRAGE_sag"
    assert (tmp_path / "sub-1234").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ({"PatientID": "Ä/12-3"}, "sub-A_12_3/ses-20150423110533/00003-T1_MPRAGE_sag"),
        ({"StudyTime": ""}, "sub-1234/ses-20150423/00003-T1_MPRAGE_sag"),
        ({"StudyTime": "110533.250000"}, "sub-1234/ses-20150423110533.250000/00003-T1_MPRAGE_sag"),
        ({"StudyDate": ""}, "sub-1234/00003-T1_MPRAGE_sag"),
        ({"SeriesDescription": ""}, "sub-1234/ses-20150423110533/00003-No_series_description"),
        ({"SeriesDescription": "頭部"}, "sub-1234/ses-20150423110533/00003-No_series_description"),
        ({"SeriesDescription": "(sag)"}, "sub-1234/ses-20150423110533/00003-_sag_"),
        ({"SeriesNumber": ""}, "sub-1234/ses-20150423110533/00000-T1_MPRAGE_sag"),
        ({"SeriesNumber": "123456"}, "sub-1234/ses-20150423110533/123456-T1_MPRAGE_sag"),
        ({"PatientID": ""}, "sub-No_patient_id/ses-20150423110533/00003-T1_MPRAGE_sag"),
        ({"PatientID": ".."}, "sub-No_patient_id/ses-20150423110533/00003-T1_MPRAGE_sag"),
        ({"StudyDate": "../..", "StudyTime": "../x"}, "sub-1234/00003-T1_MPRAGE_sag"),
        ({"PatientID": "/etc/passwd"}, "sub-_etc_passwd/ses-20150423110533/00003-T1_MPRAGE_sag"),
    ],
)
def test_names_are_reduced(tmp_path: Path, other: dict[str, str], expected: str) -> None:
    assert place(tmp_path, **other) == expected


def test_two_patients_whose_ids_become_one_name_are_kept_apart(tmp_path: Path) -> None:
    first, second, third = (place(tmp_path, PatientID=each) for each in ("A-1", "A/1", "a_1"))
    assert [each.partition("/")[0] for each in (first, second, third)] == ["sub-A_1", "sub-A_1_2", "sub-a_1_3"]
    assert place(tmp_path, PatientID="A_1_2").startswith("sub-A_1_2_2/")


def test_studies_without_a_patient_id_are_kept_apart(tmp_path: Path) -> None:
    assert place(tmp_path, PatientID="").startswith("sub-No_patient_id/")
    assert place(tmp_path, PatientID=" ", StudyInstanceUID="1.3").startswith("sub-No_patient_id_2/")


def test_two_series_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    first, second = (place(tmp_path, SeriesInstanceUID=uid) for uid in ("1.2.1", "1.2.2"))
    assert second == f"{first}_2"


def test_the_same_series_gets_the_same_place_after_a_restart(tmp_path: Path) -> None:
    uids = [f"1.2.{n}" for n in range(5)]
    before = [place(tmp_path, SeriesInstanceUID=uid) for uid in uids]
    assert [place(tmp_path, SeriesInstanceUID=uid) for uid in reversed(uids)] == before[::-1]


def test_a_disk_without_hard_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    assert place(tmp_path, SeriesInstanceUID="1.2.1") != place(tmp_path, SeriesInstanceUID="1.2.2")
    assert once.put(tmp_path / "a", b"1")
    assert not once.put(tmp_path / "a", b"2")
    assert (tmp_path / "a").read_bytes() == b"1"


@FIXED
@given(*[st.text(max_size=300)] * 5)
def test_no_value_leads_elsewhere_or_makes_a_name_too_long(
    tmp_path: Path, patient: str, date: str, time: str, number: str, description: str
) -> None:
    root = tmp_path / "root"
    folder = Tree(root).folder(
        SERIES
        | {"PatientID": patient, "StudyDate": date, "StudyTime": time}
        | {"SeriesNumber": number, "SeriesDescription": description}
    )
    assert folder.is_dir()
    parts = folder.relative_to(root).parts
    assert len(parts) == (3 if tree.session(date, time) else 2)
    assert all(len(part) < 251 and part.isascii() and not part.startswith(".") for part in parts)
    assert folder.resolve().is_relative_to(root.resolve())
