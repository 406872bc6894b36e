from objects import BASIC, RESEARCH
from orthanc_deid.confidentiality.native import payload
from orthanc_deid.confidentiality.profile import Native, Profile


def body(profile: Profile) -> dict[str, object]:
    return payload(profile, study_uid="2.25.1", series_uid="2.25.2", sop_uid="2.25.3", patient_id="P", patient_name="N")


def test_the_identity_is_replaced_by_the_given_values() -> None:
    assert body(BASIC)["Replace"] == {
        "StudyInstanceUID": "2.25.1",
        "SeriesInstanceUID": "2.25.2",
        "SOPInstanceUID": "2.25.3",
        "PatientID": "P",
        "PatientName": "N",
    }
    assert body(BASIC)["Force"] is True
    assert body(BASIC)["DicomVersion"] == "2021b"


def test_uids_and_retained_attributes_survive_native() -> None:
    keep = body(RESEARCH)["Keep"]
    assert isinstance(keep, list)
    assert {"0008,1155", "0020,0052", "0008,0020", "0010,0040", "0010,1010"} <= set(keep)
    assert not {"0020,000d", "0010,0010", "0008,1048"} & set(keep)
    assert (body(BASIC)["KeepPrivateTags"], body(RESEARCH)["KeepPrivateTags"]) == (False, True)


def test_what_the_profile_removes_is_left_to_native_too() -> None:
    keep = body(BASIC)["Keep"]
    assert isinstance(keep, list)
    assert "0010,1010" not in keep


def test_an_existing_body_is_laid_over_it() -> None:
    native = Native(Keep=("StudyDescription",), Remove=("Manufacturer",), Replace={"InstitutionName": "X"})
    made = body(Profile(name="p", version="1", title="t", native=native))
    assert isinstance(made["Keep"], list)
    assert "0008,1030" in made["Keep"]
    assert made["Remove"] == ["0008,0070", "7fe0,0010"]  # the pixels need not come back
    assert isinstance(made["Replace"], dict)
    assert made["Replace"]["0008,0080"] == "X"
