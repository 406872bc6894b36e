import runpy
from pathlib import Path
from typing import Any

import pytest
from pydicom import uid
from pydicom._uid_dict import UID_dictionary
from pydicom.datadict import dictionary_VR, tag_for_keyword

from orthanc_deid.confidentiality.standard import attribute_types, generate_types, table, types_data

DEFINED_CT_PROTOCOL = "1.2.840.10008.5.1.4.1.1.200.1"

# Storage SOP Classes without types: their modules have no table in highdicom, or they are no DICOM objects of PS3.3.
NOT_KNOWN = {
    "1.2.840.10008.1.20.1",  # storage commitment stores nothing
    "1.2.840.10008.5.1.4.1.1.501.1", "1.2.840.10008.5.1.4.1.1.501.2.1", "1.2.840.10008.5.1.4.1.1.501.2.2",  # DICOS
    "1.2.840.10008.5.1.4.1.1.501.3", "1.2.840.10008.5.1.4.1.1.501.4", "1.2.840.10008.5.1.4.1.1.501.5",
    "1.2.840.10008.5.1.4.1.1.501.6",
    "1.2.840.10008.5.1.4.1.1.601.1", "1.2.840.10008.5.1.4.1.1.601.2",  # DICONDE
}  # fmt: skip


def tag(keyword: str) -> int:
    found = tag_for_keyword(keyword)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("sop_class", "keyword", "expected"),
    [
        (uid.CTImageStorage, "InstitutionName", "3"),
        (uid.CTImageStorage, "DeviceSerialNumber", "3"),
        (uid.CTImageStorage, "SeriesDate", "3"),
        (uid.CTImageStorage, "StudyDate", "2"),
        (uid.CTImageStorage, "PatientID", "2"),
        (uid.CTImageStorage, "ContrastBolusAgent", "2"),
        (uid.CTImageStorage, "ContentDate", "2C"),
        (uid.EnhancedMRImageStorage, "DeviceSerialNumber", "1"),
        (uid.EnhancedMRImageStorage, "ContentDate", "1"),
        (uid.EnhancedMRImageStorage, "AcquisitionDateTime", "1C"),
        (uid.PositronEmissionTomographyImageStorage, "SeriesDate", "1"),
        (uid.PositronEmissionTomographyImageStorage, "AcquisitionDate", "2"),
        (uid.XRayAngiographicImageStorage, "ReferencedImageSequence", "1C"),
        (uid.VLWholeSlideMicroscopyImageStorage, "AcquisitionDateTime", "1"),
        (uid.RTStructureSetStorage, "OperatorsName", "2"),
        (uid.RTStructureSetStorage, "StructureSetDate", "2"),
        (uid.RTPlanStorage, "RTPlanDate", "2"),
        (uid.SegmentationStorage, "ContentDate", "1"),
        (uid.GrayscaleSoftcopyPresentationStateStorage, "PresentationCreationDate", "1"),
        (uid.BasicTextSRStorage, "ContentTime", "1"),
        (uid.KeyObjectSelectionDocumentStorage, "ReferencedPerformedProcedureStepSequence", "2"),
        (uid.EncapsulatedPDFStorage, "ContentDate", "2"),
        (uid.EncapsulatedPDFStorage, "DocumentTitle", "2"),
        (DEFINED_CT_PROTOCOL, "ProtocolName", "1"),
        (uid.CTImageStorage, "ProtocolName", "3"),
    ],
)
def test_an_object_requires_what_ps3_3_says(sop_class: str, keyword: str, expected: str) -> None:
    assert attribute_types.of(sop_class, tag(keyword)) == expected


@pytest.mark.parametrize(
    ("sequence", "keyword", "expected"),
    [
        ("ReferringPhysicianIdentificationSequence", "InstitutionName", "1C"),
        ("OperatorIdentificationSequence", "InstitutionCodeSequence", "1C"),
        ("ReferencedSeriesSequence", "ReferencedImageSequence", "1"),
        ("StructureSetROISequence", "ROIName", "2"),
        ("ContentSequence", "DateTime", "3"),
        ("ContentSequence", "ObservationDateTime", "1C"),
        ("ReferencedRequestSequence", "AccessionNumber", "2"),
        ("ReferencedRequestSequence", "RequestedProcedureDescription", "2"),
        ("UDISequence", "UniqueDeviceIdentifier", "1"),
        ("ContributingEquipmentSequence", "InstitutionName", "3"),
        ("ReferencedImageSequence", "InstitutionName", "3"),
    ],
)
def test_an_item_requires_what_ps3_3_says(sequence: str, keyword: str, expected: str) -> None:
    assert attribute_types.of(uid.CTImageStorage, tag(keyword), tag(sequence)) == expected


def test_an_item_needs_no_known_sop_class() -> None:
    assert attribute_types.of("1.2.3", tag("ROIName"), tag("StructureSetROISequence")) == "2"


def test_nothing_is_said_of_a_sop_class_that_is_not_known() -> None:
    assert attribute_types.of("1.2.3", tag("StudyDate")) is None


def test_every_storage_sop_class_of_pydicom_is_known() -> None:
    current = {
        value
        for value, (name, kind, _, retired, _) in UID_dictionary.items()
        if kind == "SOP Class" and "Storage" in name and not retired
    }
    assert {value for value in current if attribute_types.of(value, tag("StudyDate")) is None} == NOT_KNOWN


def test_only_attributes_whose_value_can_go_have_a_type() -> None:
    names = {name for text in (types_data.SOP_CLASSES, types_data.ITEMS) for name in text.split() if len(name) == 8}
    sequences = {line.split()[0] for line in types_data.ITEMS.splitlines() if " : " in line}
    for value in (int(name, 16) for name in names - sequences):
        letter = table.basic().get(value)
        assert letter not in {"D", "U"}
        assert letter or dictionary_VR(value) in generate_types.CHANGED


def rows(*attributes: tuple[str, str, str]) -> list[generate_types.Attribute]:
    """Answer rows of a module: keyword, type, path."""
    return [{"keyword": keyword, "type": kind, "path": path.split()} for keyword, kind, path in attributes]


MODULES = {
    "equipment": rows(("InstitutionName", "3", ""), ("DeviceSerialNumber", "3", ""), ("DeviceUID", "1", "")),
    "better-equipment": rows(("DeviceSerialNumber", "1", ""), ("BodyPartExamined", "1", "")),
    "study": rows(
        ("StudyDate", "2", ""),
        ("ConsultingPhysicianIdentificationSequence", "3", ""),
        ("InstitutionName", "1C", "ConsultingPhysicianIdentificationSequence"),
        ("InstitutionName", "2", "ReferencedStudySequence ConsultingPhysicianIdentificationSequence"),
        ("LongCodeValue", "1C", "ConsultingPhysicianIdentificationSequence"),
    ),
}
IODS: dict[str, list[generate_types.Module]] = {
    "old": [{"key": "equipment"}, {"key": "study"}],
    "new": [{"key": "better-equipment"}, {"key": "equipment"}, {"key": "study"}],
    "strange": [{"key": "study"}, {"key": "a module nobody wrote down"}],
}


def run(tmp_path: Path, text: str) -> dict[str, Any]:
    file = tmp_path / "data.py"
    file.write_text(text, encoding="utf-8")
    return runpy.run_path(str(file))


def test_the_generator_takes_the_strongest_type(tmp_path: Path) -> None:
    data = run(tmp_path, generate_types.generate({"1.2": "new", "1.3": "old"}, IODS, MODULES))
    assert data["SOP_CLASSES"].split("\n")[:2] == ["", "    1.2 : 1 00181000 2 00080020"]
    assert data["ITEMS"].strip() == "0008009D : 1C 00080080"


def test_the_generator_writes_objects_with_equal_types_once(tmp_path: Path) -> None:
    data = run(tmp_path, generate_types.generate({"1.3": "old", "1.2": "old"}, IODS, MODULES))
    assert data["SOP_CLASSES"].strip() == "1.2 1.3 : 2 00080020"


def test_the_generator_leaves_out_an_object_it_knows_in_part(tmp_path: Path) -> None:
    data = run(tmp_path, generate_types.generate({"1.2": "strange", "1.3": "old"}, IODS, MODULES))
    assert "1.2" not in data["SOP_CLASSES"]


def test_the_generator_writes_the_same_whatever_the_order() -> None:
    classes = {"1.2": "new", "1.3": "old"}
    turned = {key: list(reversed(found)) for key, found in reversed(list(MODULES.items()))}
    assert generate_types.generate(classes, IODS, MODULES) == generate_types.generate(
        dict(reversed(list(classes.items()))), IODS, turned
    )
