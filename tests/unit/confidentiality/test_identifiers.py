import pytest
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword

from objects import MARKER, ROOT, image, planted, written
from orthanc_deid.confidentiality.encode import decode
from orthanc_deid.confidentiality.identifiers import FIELDS, Identifiers, from_dataset, from_tags


def dataset(**values: object) -> Dataset:
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def test_names_ids_birth_date_and_uids_are_collected() -> None:
    known = from_dataset(image())
    assert known.names == {MARKER, "Qponmlk", f"{MARKER} Qponmlk"}
    assert known.ids == {"MRN-770001", "ACC-550001", "SID-0001"}
    assert known.dates == {"19630417"}
    assert known.uids == {f"{ROOT}.1", f"{ROOT}.1.1", f"{ROOT}.1.1.1", f"{ROOT}.9"}


def test_every_depth_counts() -> None:
    ds = image()
    planted(ds, 3)
    known = from_dataset(decode(written(ds)))
    assert {"Ralph", "Nobody"} <= known.names
    assert f"{ROOT}.77" in known.uids


def test_orthancs_tags_give_the_same() -> None:
    tags = {
        "0010,0010": {"Name": "PatientName", "Type": "String", "Value": "Abc^Def"},
        "0010,0020": {"Name": "PatientID", "Type": "String", "Value": "X-12345"},
        "0008,0018": {"Name": "SOPInstanceUID", "Type": "String", "Value": "1.2.3"},
        "0008,0016": {"Name": "SOPClassUID", "Type": "String", "Value": "1.2.840.10008.5.1.4.1.1.2"},
        "0010,0030": {"Name": "PatientBirthDate", "Type": "Null", "Value": None},
        "0009,1001": {"Name": "Unknown", "Type": "String", "Value": "x"},
        "0008,1110": {
            "Name": "ReferencedStudySequence",
            "Type": "Sequence",
            "Value": [{"0008,1048": {"Name": "PhysiciansOfRecord", "Type": "String", "Value": "Ghi^Jkl\\Mno"}}],
        },
    }
    assert from_tags(tags) == Identifiers(
        names=frozenset({"Abc", "Def", "Abc Def", "Ghi", "Jkl", "Ghi Jkl", "Mno"}),
        ids=frozenset({"X-12345"}),
        uids=frozenset({"1.2.3"}),
    )


def test_places_and_contacts_are_collected() -> None:
    institution, person = Dataset(), Dataset()
    institution.CodeMeaning = "Nordhausen Clinic"
    person.PersonAddress, person.PersonTelephoneNumbers = "Lindenallee 14", "03631 5550123"
    ds = image(InstitutionAddress="Ring 1", RegionOfResidence="Thuringia", PatientTelephoneNumbers="0171 5550133")
    ds.InstitutionCodeSequence = [institution]
    ds.ReferringPhysicianIdentificationSequence = [person]
    known = from_dataset(ds)
    assert {"Ring 1", "Thuringia", "Nordhausen Clinic", "Lindenallee 14"} <= known.places
    assert known.contacts == {"0171 5550133", "03631 5550123"}


def test_orthancs_tags_give_the_same_places() -> None:
    meaning = {"0008,0104": {"Name": "CodeMeaning", "Type": "String", "Value": "Nordhausen Clinic"}}
    tags = {
        "0008,0080": {"Name": "InstitutionName", "Type": "String", "Value": "Klinik Süd"},
        "0008,0082": {"Name": "InstitutionCodeSequence", "Type": "Sequence", "Value": [meaning]},
        "0010,2154": {"Name": "PatientTelephoneNumbers", "Type": "String", "Value": "1\\2345"},
    }
    known = Identifiers(places=frozenset({"Klinik Süd", "Nordhausen Clinic"}), contacts=frozenset({"2345"}))
    assert from_tags(tags) == known


def test_the_station_is_no_place_of_the_patient() -> None:
    assert not from_dataset(dataset(StationName="NORDCT01")).places


def test_halves_of_a_name_with_a_hyphen_are_names() -> None:
    assert {"Anna-Lena", "Anna", "Lena", "Roth-Weiß", "Roth", "Weiß"} <= from_dataset(
        dataset(PatientName="Roth-Weiß^Anna-Lena")
    ).names


def test_a_private_name_is_a_name() -> None:
    ds = dataset(PatientID="x")
    ds.add_new(0x00090010, "LO", "ACME")
    ds.add_new(0x00091001, "PN", "Hidden^Qwert")
    assert {"Hidden", "Hidden Qwert"} <= from_dataset(ds).names


def test_what_a_profile_retains_is_left_out() -> None:
    known = Identifiers(names=frozenset({"N"}), places=frozenset({"P"}), uids=frozenset({"1.2.3"}))
    assert known.without("places", "uids") == Identifiers(names=frozenset({"N"}))
    with pytest.raises(ValueError, match="no such set"):
        known.without("rooms")


def test_every_listed_attribute_is_in_the_dictionary() -> None:
    assert all(tag_for_keyword(keyword) for text in FIELDS.values() for keyword in text.split())


def test_placeholders_name_nobody() -> None:
    known = from_dataset(image(PatientName="Anonymous^Test", PatientID="unknown", ReferringPhysicianName="Dr^X"))
    assert not known.names
    assert "unknown" not in known.ids


def test_those_of_instances_are_joined() -> None:
    both = Identifiers(ids=frozenset({"1"})) | Identifiers(ids=frozenset({"2"}), names=frozenset({"N"}))
    assert both == Identifiers(ids=frozenset({"1", "2"}), names=frozenset({"N"}))


def test_a_log_sees_numbers_only() -> None:
    assert repr(from_dataset(image())) == "Identifiers(3 names, 3 ids, 4 UIDs)"
