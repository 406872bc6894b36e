import io
from typing import Any

import pydicom
import pytest
from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement, convert_raw_data_element
from pydicom.tag import BaseTag
from pydicom.valuerep import validate_value

from objects import every_dataset, written
from orthanc_deid.confidentiality.documents.encapsulated import dummy
from orthanc_deid.confidentiality.standard import dummies, table

DUMMIES = sorted(tag for tag, letter in table.basic().items() if "D" in letter)
SEQUENCES = [tag for tag in DUMMIES if dictionary_VR(tag) == "SQ"]
VALUES = [tag for tag in [*DUMMIES, *dummies.BY_TAG] if dictionary_VR(tag) not in ("SQ", "UI")]  # UIDs are mapped


def name(tag: int) -> str:
    return pydicom.datadict.keyword_for_tag(tag)


@pytest.mark.parametrize("tag", VALUES, ids=name)
def test_a_dummy_fits_its_vr(tag: int) -> None:
    vr = dictionary_VR(tag)
    data = dummies.value(tag, vr)
    assert data is not None
    raw = RawDataElement(BaseTag(tag), vr, len(data), data, 0, is_implicit_VR=False, is_little_endian=True)
    value: Any = convert_raw_data_element(raw).value
    validate_value(vr, value, pydicom.config.RAISE)
    assert value not in (None, "")


@pytest.mark.parametrize("tag", SEQUENCES, ids=name)
def test_a_dummy_item_can_be_written_and_every_value_in_it_fits(tag: int) -> None:
    ds = Dataset()
    ds.add_new(tag, "SQ", dummies.items(tag))
    ds.SOPClassUID, ds.SOPInstanceUID = pydicom.uid.RawDataStorage, "2.25.1"
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    again = pydicom.dcmread(io.BytesIO(written(ds)))
    item = again[tag].value[0]
    assert len(item) > 0
    for each in every_dataset(item):
        for elem in each:
            assert dictionary_VR(elem.tag).split(" ")[0] == elem.VR
            if elem.VR != "SQ":
                for value in elem.value if elem.VM > 1 else [elem.value]:
                    validate_value(elem.VR, value, pydicom.config.RAISE)


def test_no_dummy_looks_like_a_date_of_anybody() -> None:
    assert dummies.value(0x00080012, "DA") == b"19000101"
    assert dummies.value(0x0040A13A, "DT") == b"19000101000000"


def test_an_enumerated_value_is_one_of_the_standard() -> None:
    assert dummies.value(0x04000565, "CS") == b"COERCE"
    assert dummies.value(0x00340007, "OB") == bytes(10)


def test_a_document_is_of_the_kind_that_the_dataset_says() -> None:
    assert dummies.value(0x00420011, "OB", "application/pdf") == dummy("application/pdf")
    assert dummies.value(0x00420011, "OB", "text/XML") == dummy("text/xml")
    assert dummies.value(0x00420011, "OB") == bytes(2)


def test_an_annotation_lies_in_a_layer_that_the_presentation_state_has() -> None:
    layer = Dataset()
    layer.GraphicLayer = "DRAWINGS"
    ds = Dataset()
    ds.GraphicLayerSequence = [layer]
    item = dummies.items(0x00700001, ds)[0]
    assert item.GraphicLayer == "DRAWINGS"
    assert item.TextObjectSequence[0].UnformattedTextValue == dummies.TEXT
    assert dummies.items(0x00700001)[0].GraphicLayer == dummies.TEXT


def test_an_unknown_sequence_gets_a_code() -> None:
    assert dummies.items(0x00401101)[0].CodeMeaning == "De-identified"
