import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.uid import UID

from objects import KEY, pseudonyms
from orthanc_deid.confidentiality.deidentify import patient_of
from orthanc_deid.confidentiality.pseudonyms import Patient, Pseudonyms
from orthanc_deid.database.crosswalk import Identity
from orthanc_deid.errors import Rejected

uids = st.from_regex(r"1\.[1-9][0-9]{0,4}(\.[1-9][0-9]{0,5}){1,6}", fullmatch=True)


@given(uids)
def test_a_uid_maps_to_the_same_valid_uid_in_every_run(original: str) -> None:
    mapped = Pseudonyms(KEY).uid(original)
    assert mapped == pseudonyms().uid(original) != original
    assert UID(mapped).is_valid
    assert re.fullmatch(r"2\.25\.[1-9][0-9]*", mapped)
    assert len(mapped) <= 44


def test_a_mapped_uid_is_a_uuid() -> None:
    number = int(pseudonyms().uid("1.2.3").removeprefix("2.25."))
    assert number >> 76 & 0xF == 4
    assert number >> 62 & 0x3 == 2


def test_the_standards_own_uids_stay() -> None:
    assert pseudonyms().uid("1.2.840.10008.1.4.1.1") == "1.2.840.10008.1.4.1.1"


def test_padding_does_not_make_another_uid() -> None:
    assert pseudonyms().uid("1.2.3\x00") == pseudonyms().uid(" 1.2.3") == pseudonyms().uid("1.2.3")


def test_projects_cannot_be_linked() -> None:
    other = Pseudonyms(bytes(32))
    patient = Patient("H", "1")
    assert other.uid("1.2.3") != pseudonyms().uid("1.2.3")
    assert other.patient_id(patient) != pseudonyms().patient_id(patient)


def test_a_patient_is_one_whatever_the_case_and_blanks() -> None:
    assert pseudonyms().patient_id(Patient("h ", " ab1")) == pseudonyms().patient_id(Patient("H", "AB1"))


def test_the_issuer_belongs_to_the_patient_id() -> None:
    ids = {pseudonyms().patient_id(p) for p in (Patient("A", "1"), Patient("B", "1"), Patient("", "A1"))}
    assert len(ids) == 3


def test_a_pseudonym_is_p_and_16_characters() -> None:
    assert re.fullmatch(r"P[A-Z2-7]{16}", pseudonyms().patient_id(Patient("", "1")))
    assert pseudonyms().patient_name(Patient("", "1")) == pseudonyms().patient_id(Patient("", "1"))


@given(st.text(max_size=64))
def test_the_offset_is_one_to_ten_years_back(patient_id: str) -> None:
    assert -3650 <= pseudonyms().offset_days(Patient("", patient_id)) <= -365


def test_a_full_cache_changes_no_answer() -> None:
    small = pseudonyms()
    before = small.uid("1.2.3")
    for number in range(1 << 16):
        small.uid(f"1.2.4.{number}")
    assert small.uid("1.2.3") == before


@pytest.mark.parametrize("other", ["MRN-1\x00", "mrn-1 \x00 ", "\x00 MRN-1", "MRN-1\u00a0"])
def test_a_patient_is_the_same_whatever_pads_his_number(other: str) -> None:
    keyed = Pseudonyms(bytes(32))
    assert keyed.patient_id(Patient("HOSP", other)) == keyed.patient_id(Patient("HOSP", "MRN-1"))
    assert Patient("HOSP\x00", other).normal == Identity("HOSP\x00", other).normal == Identity("hosp", "mrn-1").normal


@pytest.mark.parametrize("nothing", ["\u00a0", "\u3000 "])
def test_blanks_are_no_patient_id(nothing: str) -> None:
    ds = Dataset()
    ds.PatientID = nothing
    with pytest.raises(Rejected, match="no PatientID"):
        patient_of(ds)
