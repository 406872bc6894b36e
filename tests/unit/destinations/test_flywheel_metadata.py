"""Sidecars into the info of files that are on Flywheel already."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fake_flywheel import FakeFlywheel
from flywheel_studies import KEY_VARIABLE, settings
from orthanc_deid.destinations.flywheel import Added, add_metadata
from orthanc_deid.destinations.flywheel.metadata import match
from orthanc_deid.errors import NotFound

pytest.importorskip("flywheel")
PLACE = ("default", "sub-001", "visit")


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeFlywheel]:
    with FakeFlywheel() as fake:
        monkeypatch.setenv(KEY_VARIABLE, fake.key)
        project = fake.add("projects", label="default", group="lab", parents={"group": "lab"})
        above = {"group": "lab", "project": project}
        subject = fake.add("subjects", label="sub-001", project=project, parents=above)
        place = {"parents": above | {"subject": subject}, "subject": {"_id": subject, "label": "sub-001"}}
        session = fake.add("sessions", label="visit", **place)
        for label, name in (("03 - Ax T1 POST", "t1.nii.gz"), ("4 - Head W/O", "ct.nii.gz"), ("5 - empty", "")):
            acquisition = fake.add("acquisitions", label=label, parents=place["parents"] | {"session": session})
            if name:
                fake.put_file(acquisition, name, b"voxels")
        yield fake


def sidecar(folder: Path, name: str, **content: object) -> Path:
    path = folder / name
    path.write_text(json.dumps(content))
    return path


def test_each_sidecar_becomes_the_info_of_its_file(site: FakeFlywheel, tmp_path: Path) -> None:
    paths = [
        sidecar(tmp_path, "t1.json", SeriesNumber=3, SeriesDescription="Ax T1 POST", Modality="MR", EchoTime=0.01),
        sidecar(tmp_path, "x.json", SeriesNumber=4, SeriesDescription="Head WO", Modality="CT", KVP=120),
        sidecar(tmp_path, "5.json", SeriesNumber=5, SeriesDescription="empty"),
        sidecar(tmp_path, "6.json", SeriesNumber=6, SeriesDescription="Ax T1 POST"),
        sidecar(tmp_path, "7.json", SeriesNumber=3, SeriesDescription="Ax T1 POST", PatientName="Zyxwvut"),
        sidecar(tmp_path, "8.json", SeriesDescription="Ax T1 POST"),
    ]
    assert add_metadata(settings(), PLACE, paths) == [
        Added("t1.json", "written", "03 - Ax T1 POST"),
        Added("x.json", "written", "4 - Head W/O"),
        Added("5.json", "no file", "5 - empty"),
        Added("6.json", "no acquisition"),
        Added("7.json", "identity"),
        Added("8.json", "no series"),
    ]
    t1, ct = site.files()["03 - Ax T1 POST/t1.nii.gz"], site.files()["4 - Head W/O/ct.nii.gz"]
    assert t1["info"]["EchoTime"] == 0.01
    assert t1["classification"] == {"Intent": ["Structural"], "Measurement": ["T1"]}
    assert (ct["info"]["KVP"], ct["modality"], ct["classification"]) == (120, "CT", {})
    assert "Zyxwvut" not in site.everything()
    assert [each.outcome for each in add_metadata(settings(), PLACE, paths[:2])] == ["same", "same"]
    assert (t1["version"], ct["version"]) == (1, 1)


@pytest.mark.parametrize(
    "said",
    [{"StudyInstanceUID": "1.2.Zyxwvut"}, {"StudyID": "Zyxwvut"}, {"global": {"const": {"PatientName": "Zyxwvut"}}},
     {"items": [{"OtherPatientNames": "Zyxwvut"}]}],
)  # fmt: skip
def test_a_sidecar_is_not_written_that_tells_at_any_depth_who_the_patient_is(
    site: FakeFlywheel, tmp_path: Path, said: dict[str, object]
) -> None:
    path = sidecar(tmp_path, "t1.json", SeriesNumber=3, SeriesDescription="Ax T1 POST", **said)
    assert add_metadata(settings(), PLACE, [path]) == [Added("t1.json", "identity")]
    assert "Zyxwvut" not in site.everything()


def test_a_session_that_is_not_there_is_told(site: FakeFlywheel) -> None:
    for place, level in ((("other", "a", "b"), "project"), (("default", "a", "b"), "subject")):
        with pytest.raises(NotFound, match=level):
            add_metadata(settings(), place, [])
    assert site.created() == {}


@pytest.mark.parametrize(
    ("there", "found"),
    [
        (["03-T1_POST", "03 - T1 POST"], [0]),  # our own template first
        (["3 - t1 post GAD", "04 - T1 POST"], [0]),  # another number is never near
        (["T1 POST", "DWI"], [0]),
        (["03 - T1 POST", "03 - T1 POST"], [0, 1]),
        (["03 - something else entirely"], []),
        ([], []),
    ],
)
def test_a_series_is_matched_exactly_and_else_nearly(there: list[str], found: list[int]) -> None:
    assert match(settings(), {"SeriesNumber": 3, "SeriesDescription": "T1 POST"}, there) == found
