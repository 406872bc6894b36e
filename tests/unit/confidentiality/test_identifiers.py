from objects import MARKER, ROOT, image, planted, written
from orthanc_deid.confidentiality.encode import decode
from orthanc_deid.confidentiality.identifiers import Identifiers, from_dataset, from_tags


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


def test_placeholders_name_nobody() -> None:
    known = from_dataset(image(PatientName="Anonymous^Test", PatientID="unknown", ReferringPhysicianName="Dr^X"))
    assert not known.names
    assert "unknown" not in known.ids


def test_those_of_instances_are_joined() -> None:
    both = Identifiers(ids=frozenset({"1"})) | Identifiers(ids=frozenset({"2"}), names=frozenset({"N"}))
    assert both == Identifiers(ids=frozenset({"1", "2"}), names=frozenset({"N"}))


def test_a_log_sees_numbers_only() -> None:
    assert repr(from_dataset(image())) == "Identifiers(3 names, 3 ids, 4 UIDs)"
