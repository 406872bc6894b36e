"""Pseudonyms that stand in the studies themselves, read from datasets as pydicom and as Orthanc show them."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pydicom.dataset import Dataset

from orthanc_deid.confidentiality.pseudonyms import Patient
from orthanc_deid.errors import ConfigurationError
from orthanc_deid.pseudonymization.base import Asked, Given, Missing, Tools
from orthanc_deid.pseudonymization.reading import of_dataset
from orthanc_deid.pseudonymization.tag import EMPTY, ITSELF, Tag
from orthanc_deid.settings.pseudonym_tag import TagPseudonyms

CREATOR = "CHUV_DEV_TML"
KARNAK = {"preset": "karnak"}


def source(**settings: Any) -> Tag:  # noqa: ANN401  # as in YAML
    return Tag(TagPseudonyms.model_validate({"kind": "tag"} | settings), Tools("trial", bytes(32), None, Path()))


def tagged(pseudonym: object, shift: str | None = None, *, vr: str = "LO", creator: str = CREATOR) -> Dataset:
    ds = Dataset()
    ds.PatientID = "MRN-770001"
    ds.private_block(0x000B, "SOMEBODY ELSE", create=True).add_new(0x01, "LO", "X9")
    block = ds.private_block(0x000B, creator, create=True)
    block.add_new(0x01, vr, pseudonym)
    if shift is not None:
        block.add_new(0x03, "LO", shift)
    return ds


def given(tag: Tag, ds: Dataset) -> Given | Missing:
    (found,) = tag.give([Asked(Patient("", str(ds.PatientID)), of_dataset(ds))])
    return found


def test_the_block_is_found_by_its_creator() -> None:
    assert given(source(**KARNAK), tagged("P0001", "-5")) == Given("P0001", -5)
    assert given(source(preset="pacsifier"), tagged("P0001", " 12 ")) == Given("P0001", 12)


def test_a_day_shift_of_0_is_one_that_nobody_knows() -> None:
    assert given(source(**KARNAK), tagged("P0001", "0")) == Given("P0001", None)
    assert given(source(**KARNAK), tagged("P0001")) == Given("P0001", None)


def test_a_value_of_unknown_vr_is_read_as_text() -> None:
    assert given(source(**KARNAK), tagged(b"P0001 ", vr="UN")) == Given("P0001")


def test_any_attribute_can_hold_it() -> None:
    ds = tagged("P0001")
    ds.ClinicalTrialSubjectID = "S-12"
    assert given(source(attribute="ClinicalTrialSubjectID"), ds) == Given("S-12")
    private = {"group": "000b", "element": "01", "creator": "SOMEBODY ELSE"}
    shift = {"group": "000B", "element": "03", "creator": CREATOR}
    assert given(source(private=private, day_shift=shift), tagged("P0001", "7")) == Given("X9", 7)


def test_a_study_without_one_is_missing() -> None:
    assert given(source(**KARNAK), tagged("P0001", creator="CHUV_DEV_TM")) == EMPTY
    assert given(source(**KARNAK), tagged("  ")) == EMPTY
    assert given(source(attribute="ClinicalTrialSubjectID"), tagged("P0001")) == EMPTY


def test_two_blocks_of_one_creator_that_contradict_each_other_say_nothing() -> None:
    ds = tagged("P0001")
    ds.add_new(0x000B0020, "LO", CREATOR)
    ds.add_new(0x000B2001, "LO", "P0002")
    assert given(source(**KARNAK), ds) == EMPTY
    ds[0x000B2001].value = "P0001"
    assert given(source(**KARNAK), ds) == Given("P0001")


@pytest.mark.parametrize("value", [["P1", "P2"], "P" * 65, "P\x07", "Pé", "P^1"])
@pytest.mark.filterwarnings("ignore")
def test_what_no_patient_id_can_be_is_missing_with_a_reason(value: object) -> None:
    found = given(source(**KARNAK), tagged(value))
    assert isinstance(found, Missing)
    assert found.reason.startswith("the pseudonym that the study holds ")
    assert not any(word in found.reason for word in ("P1", "PP", "Pé", "P^"))


def test_the_patient_id_itself_is_none() -> None:
    assert given(source(**KARNAK), tagged(" mrn-770001")) == ITSELF


def test_a_day_shift_that_is_no_number_is_missing() -> None:
    found = given(source(**KARNAK), tagged("P0001", "soon"))
    assert isinstance(found, Missing)
    assert "soon" not in found.reason


def test_an_unknown_keyword_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="project trial: pseudonyms: attribute: PatientIdx is not a keyword"):
        source(attribute="PatientIdx")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"preset": "karnak", "attribute": "StudyID"},
        {"attribute": "PatientID"},
        {"private": {"group": "000C", "element": "01", "creator": "A"}},
        {"preset": "karnak", "day_shift": {"group": "000B", "element": "03", "creator": "A"}},
    ],
)
def test_settings_name_one_place(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TagPseudonyms.model_validate({"kind": "tag"} | settings)
