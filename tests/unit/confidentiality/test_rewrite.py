import copy
import io
import itertools
from collections.abc import Callable

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from objects import (
    BASIC,
    MARKER,
    PATIENT,
    PROFILES,
    RESEARCH,
    ROOT,
    SAMPLES,
    VERSION,
    every_dataset,
    image,
    known_of,
    patient_of,
    planted,
    pseudonyms,
    sample,
    written,
)
from orthanc_deid.confidentiality.encode import decode, encode
from orthanc_deid.confidentiality.identifiers import from_dataset
from orthanc_deid.confidentiality.profile import Native, Profile
from orthanc_deid.confidentiality.pseudonyms import Patient
from orthanc_deid.confidentiality.residual import search
from orthanc_deid.confidentiality.rewrite import new_uid, rewrite
from orthanc_deid.confidentiality.standard.dummies import coded
from orthanc_deid.confidentiality.standard.options import CODES, Option
from orthanc_deid.confidentiality.texts.dates import shifted as shifted_date
from orthanc_deid.errors import Rejected

FULL_DATES = next(profile for profile in PROFILES if profile.name == "research-full-dates")


def deidentified(data: bytes, profile: Profile = RESEARCH, patient: Patient = PATIENT) -> bytes:
    known = known_of(data, profile)
    return encode(rewrite(decode(data), profile, pseudonyms(), patient, version=VERSION, known=known))


def result(ds: Dataset, profile: Profile = RESEARCH) -> Dataset:
    return pydicom.dcmread(io.BytesIO(deidentified(written(ds), profile)))


@pytest.mark.parametrize("profile", PROFILES, ids=lambda p: p.name)
@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.filterwarnings("ignore")
def test_a_sample_comes_out_readable_and_without_its_identity(name: str, profile: Profile) -> None:
    data = sample(name)
    source = decode(data)
    out = deidentified(data, profile, patient_of(source))
    assert search(out, known_of(data, profile)) == []
    new = pydicom.dcmread(io.BytesIO(out))
    assert str(new)
    assert new.file_meta.TransferSyntaxUID == source.file_meta.TransferSyntaxUID
    assert new.get("PixelData") == source.get("PixelData")
    assert new.PatientID == new.PatientName == pseudonyms().patient_id(patient_of(source))
    mapped = new_uid(profile, pseudonyms())
    assert new.SOPInstanceUID == new.file_meta.MediaStorageSOPInstanceUID == mapped(source.SOPInstanceUID)
    assert profile.has(Option.UIDS) or all(uid_is_ours(value) for value in uids(new))


def uids(ds: Dataset) -> list[str]:
    elements = [elem for each in every_dataset(ds) for elem in each if elem.VR == "UI"]
    return [
        value
        for e in elements
        for value in (e.value if e.VM > 1 else [e.value])
        if value and e.keyword not in ("SOPClassUID", "ReferencedSOPClassUID", "CodingSchemeUID")
    ]


def uid_is_ours(value: str) -> bool:
    return value.startswith(("2.25.", "1.2.840.10008."))


@pytest.mark.parametrize("profile", PROFILES, ids=lambda p: p.name)
@pytest.mark.parametrize("depth", range(5))
@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"])
def test_a_planted_marker_is_gone_from_every_depth(depth: int, profile: Profile, syntax: str) -> None:
    ds = image()
    planted(ds, depth)
    ds.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    out = deidentified(written(ds), profile)
    uids_too = () if profile.has(Option.UIDS) else (ROOT,)
    for word in (MARKER, "Qponmlk", "Ralph", PATIENT.patient_id, "19630417", *uids_too):
        assert word.encode() not in out


def test_the_marker_test_would_see_a_leak() -> None:
    ds = image(SeriesNumber=1)
    planted(ds, 1)
    assert written(ds).count(MARKER.encode()) > 40


def test_no_private_curve_overlay_or_unknown_attribute_is_left() -> None:
    ds = image()
    planted(ds, 3)
    for each in every_dataset(result(ds)):
        for tag in list(each.keys()):
            assert tag.group % 2 == 0
            assert tag.group & 0xFF00 not in (0x5000, 0x6000)
            assert tag != 0x00280001


def test_nested_patients_get_the_pseudonym() -> None:
    ds = image()
    planted(ds, 2)
    found = [each for each in every_dataset(result(ds)) if "PatientID" in each]
    assert len(found) > 2
    assert {each.PatientID for each in found} == {pseudonyms().patient_id(PATIENT)}
    assert {str(each.PatientName) for each in found} == {pseudonyms().patient_id(PATIENT)}


def test_references_still_resolve() -> None:
    reference = Dataset()
    reference.ReferencedSOPInstanceUID = f"{ROOT}.1.1.1"
    reference.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    new = result(image(ReferencedImageSequence=[reference]))
    assert new.ReferencedImageSequence[0].ReferencedSOPInstanceUID == new.SOPInstanceUID
    assert new.ReferencedImageSequence[0].ReferencedSOPClassUID == reference.ReferencedSOPClassUID


def test_two_runs_are_equal() -> None:
    ds = image()
    planted(ds, 2)
    assert deidentified(written(ds)) == deidentified(written(ds))


def test_two_studies_of_one_patient_agree() -> None:
    first, second = result(image()), result(image(StudyInstanceUID=f"{ROOT}.2", StudyDate="20210615"))
    assert first.PatientID == second.PatientID
    assert first.FrameOfReferenceUID == second.FrameOfReferenceUID
    assert first.StudyInstanceUID != second.StudyInstanceUID


@given(st.dates(), st.dates())
def test_the_interval_between_two_studies_is_preserved(first: object, second: object) -> None:
    pair = [image(StudyDate=f"{date:%Y%m%d}".zfill(8)) for date in (first, second)]
    new = [rewrite(ds, RESEARCH, pseudonyms(), PATIENT, version=VERSION).get("StudyDate") for ds in pair]
    if all(new):
        days = [pydicom.valuerep.DA(value) for value in new]
        assert days[1] is not None
        assert days[0] is not None
        assert days[1] - days[0] == second - first  # type: ignore[operator]  # hypothesis gives dates


@pytest.mark.filterwarnings("ignore:Invalid value for VR DA")
def test_dates_and_times_fit_the_profile() -> None:
    ds = image(AcquisitionDateTime="20200615101112.5+0100", SeriesDate="XXXX0615")
    shifted = result(ds)
    assert shifted.StudyDate == shifted_date("20200615", pseudonyms().offset_days(PATIENT))
    assert shifted.AcquisitionDateTime[8:] == "101112.5+0100"
    assert shifted.StudyTime == "101112"
    assert "SeriesDate" not in shifted
    assert shifted.LongitudinalTemporalInformationModified == "MODIFIED"
    removed = result(ds, BASIC)
    assert removed.StudyDate == removed.StudyTime == ""
    assert removed.LongitudinalTemporalInformationModified == "REMOVED"


@pytest.mark.parametrize(
    ("age", "new"), [("057Y", "057Y"), ("089Y", "089Y"), ("090Y", "090Y"), ("101Y", "090Y"), ("006M", "006M")]
)
def test_an_age_over_89_becomes_90(age: str, new: str) -> None:
    assert result(image(PatientAge=age)).PatientAge == new


def test_characteristics_are_kept_only_by_their_option() -> None:
    assert result(image()).PatientSex == "F"
    assert result(image(), BASIC).PatientSex == ""
    assert "PatientAge" not in result(image(), BASIC)
    assert result(image()).PatientBirthDate == ""


@pytest.mark.parametrize("profile", PROFILES, ids=lambda p: p.name)
def test_the_result_says_what_was_done(profile: Profile) -> None:
    new = result(image(DeidentificationMethod=MARKER), profile)
    assert new.PatientIdentityRemoved == "YES"
    assert list(new.DeidentificationMethod) == [
        f"Orthanc De-ID {VERSION}",
        f"{profile.name} {profile.version} {profile.digest}",
    ]
    codes = [item.CodeValue for item in new.DeidentificationMethodCodeSequence]
    assert codes == ["113100", *(CODES[option] for option in profile.options)]
    assert {item.CodingSchemeDesignator for item in new.DeidentificationMethodCodeSequence} == {"DCM"}


def test_a_removed_sequence_takes_its_items_with_it() -> None:
    item = Dataset()
    item.Modality = "CT"
    assert "RequestAttributesSequence" not in result(image(RequestAttributesSequence=[item]), BASIC)


def test_a_structured_report_gets_one_item_that_says_nothing() -> None:
    item = Dataset()
    item.TextValue, item.ValueType = MARKER, "TEXT"
    [dummy] = result(image(ContentSequence=[item]), BASIC).ContentSequence
    assert dummy.TextValue == "DEIDENTIFIED"
    assert dummy.ConceptNameCodeSequence[0].CodeValue == "121106"


def relabelled(data: bytes, tag: int, vr: bytes) -> bytes:
    """Change the VR of an OB element in an encoded file: pydicom itself writes no wrong one."""
    header = (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little")
    assert data.count(header + b"OB") == 1
    return data.replace(header + b"OB", header + vr)


@pytest.mark.parametrize("vr", ["UN", "OB", "UT", "UC"])
@pytest.mark.parametrize("tag", [0x00080060, 0x00081140, 0x00280008, 0x00280010, 0x00181150, 0x00080016, 0x00082111])
def test_a_wrong_vr_hides_nothing(tag: int, vr: str) -> None:
    item = Dataset()
    value = f"{MARKER} " if tag != 0x00080060 else f"{MARKER}\xff"
    item.add_new(tag, "OB", value.encode("latin-1"))
    data = relabelled(written(image(AnatomicRegionSequence=[item])), tag, vr.encode())
    out = deidentified(data)
    known = from_dataset(image())
    assert MARKER.encode() not in out or search(out, known)


@pytest.mark.parametrize("vr", ["PN", "UI", "DA"])
def test_a_vr_that_identifies_is_treated_by_its_kind(vr: str) -> None:
    ds = image()
    ds.add_new(0x00280008, "AE", {"PN": MARKER, "UI": "1.2.3.4.5", "DA": "20200615"}[vr])
    data = written(ds).replace(b"\x28\x00\x08\x00AE", b"\x28\x00\x08\x00" + vr.encode())
    out = deidentified(data)
    for word in (MARKER, "1.2.3.4.5", "20200615"):
        assert word.encode() not in out


def test_an_unknown_vr_that_carries_a_sequence_is_looked_into() -> None:
    item = image(PatientName=f"{MARKER}^X")
    del item.PixelData
    content = pydicom.filebase.DicomBytesIO()
    content.is_implicit_VR, content.is_little_endian = True, True
    pydicom.filewriter.write_dataset(content, item)
    body = content.getvalue()
    ds = image()
    ds.add_new(0x00082112, "OB", b"\xfe\xff\x00\xe0" + len(body).to_bytes(4, "little") + body)
    data = relabelled(written(ds), 0x00082112, b"UN")
    assert data.count(MARKER.encode()) == 2
    out = deidentified(data)
    assert MARKER.encode() not in out
    new = pydicom.dcmread(io.BytesIO(out))
    assert new.SourceImageSequence[0].PatientName == new.PatientName
    assert new.SourceImageSequence[0].StudyInstanceUID == new.StudyInstanceUID


@pytest.mark.parametrize("charset", ["ISO_IR 192", "ISO_IR 100", "\\ISO 2022 IR 87", "GB18030", None, "NO SUCH SET"])
@pytest.mark.parametrize(
    "raw", ["Größe".encode(), "Größe".encode("latin-1"), "山".encode("gb18030"), b"\x1b$B;3\x1b(B"]
)
def test_every_text_that_is_kept_decodes(charset: str | None, raw: bytes) -> None:
    ds = image(CodingSchemeDesignator="XXXXXXXX")
    if charset:
        ds.add_new(0x00080005, "CS", charset)
    with_text = written(ds).replace(b"XXXXXXXX", raw.ljust(8))
    new = pydicom.dcmread(io.BytesIO(deidentified(with_text)))
    new.decode()
    assert "\ufffd" not in new.CodingSchemeDesignator


def test_an_existing_anonymize_body_is_laid_over_the_profile() -> None:
    native = Native(Keep=("StudyDescription",), Remove=("Manufacturer",), Replace={"InstitutionName": "Anywhere"})
    profile = Profile(name="p", version="1", title="t", native=native)
    new = result(image(StudyDescription="Thorax", Manufacturer="ACME"), profile)
    assert new.StudyDescription == "Thorax"
    assert "Manufacturer" not in new
    assert new.InstitutionName == "Anywhere"


def test_uids_that_are_ours_already_are_not_mapped_again() -> None:
    ours = pseudonyms().uid(f"{ROOT}.1")
    ds = decode(written(image(StudyInstanceUID=ours)))
    new = rewrite(ds, RESEARCH, pseudonyms(), PATIENT, version=VERSION, already_mapped=frozenset({ours}))
    assert new.StudyInstanceUID == ours


def with_reference(uid: str) -> Dataset:
    item = Dataset()
    item.StudyInstanceUID = uid
    return image(StudiesContainingOtherReferencedInstancesSequence=[item])


def test_items_that_native_spoiled_come_from_the_original() -> None:
    native = decode(written(with_reference("1.9.9")))
    original: Callable[[], Dataset] = lambda: decode(written(with_reference(f"{ROOT}.1")))  # noqa: E731  # a value
    new = rewrite(native, RESEARCH, pseudonyms(), PATIENT, version=VERSION, original=original)
    item = new.StudiesContainingOtherReferencedInstancesSequence[0]
    assert item.StudyInstanceUID == new.StudyInstanceUID


def test_the_original_is_not_fetched_where_nothing_was_spoiled() -> None:
    fetched = itertools.count()
    rewrite(
        decode(written(image())),
        RESEARCH,
        pseudonyms(),
        PATIENT,
        version=VERSION,
        original=lambda: copy.copy(image(Rows=next(fetched))),
    )
    assert next(fetched) == 0


@given(st.lists(st.tuples(st.integers(132, 3000), st.integers(0, 255)), min_size=1, max_size=8))
def test_a_damaged_file_is_rejected_searched_or_clean(damage: list[tuple[int, int]]) -> None:
    ds = image()
    planted(ds, 1)
    known = from_dataset(decode(written(ds)))
    data = bytearray(written(ds))
    for at, byte in damage:
        data[at % len(data)] = byte
    try:
        out = deidentified(bytes(data))
    except Rejected:
        return
    assert MARKER.encode() not in out or search(out, known)


def test_what_nobody_can_look_into_and_bytes_in_place_of_numbers_do_not_come_out() -> None:
    ds = image()
    item = Dataset()
    item.EncryptedContentTransferSyntaxUID, item.EncryptedContent = "1.2.840.10008.1.2", MARKER.encode() + b" "
    ds.EncryptedAttributesSequence = [item]
    ds.add_new(0x00080301, "OB", b"Hospital")  # Private Group Reference, US in the dictionary
    ds.add_new(0x00080302, "LO", "VENDOR")
    ds.PlacerOrderNumberProcedure = ds.FillerOrderNumberImagingServiceRequestRetired = "ORDER 77"
    out = result(ds)
    assert "EncryptedAttributesSequence" not in out
    assert 0x00080301 not in out
    assert out.PlacerOrderNumberProcedure == out.FillerOrderNumberImagingServiceRequestRetired == "DEIDENTIFIED"


@pytest.mark.parametrize("text", ["Smith", "tel 0171/42", "Kim 47"])
def test_words_in_a_number_s_place_are_removed(text: str) -> None:
    ds = image()
    ds.add_new(0x00101030, "LO", text)
    ds.add_new(0x00180050, "LO", text)
    data = (
        written(ds)
        .replace(b"\x18\x00\x50\x00LO", b"\x18\x00\x50\x00DS")
        .replace(b"\x10\x00\x30\x10LO", b"\x10\x00\x30\x10DS")
    )
    assert text.encode() not in deidentified(data)


def test_a_number_in_digits_stays_as_it_is_written() -> None:
    new = result(image(SliceThickness="-1.5E+2 ", WindowCenter=["40", "400.25"]))
    assert (new.SliceThickness, new.WindowCenter) == (-150, [40, 400.25])


def test_an_age_is_capped_wherever_it_has_its_vr() -> None:
    new = result(image(SelectorASValue="095Y"))
    assert new.SelectorASValue == "090Y"


def test_a_code_of_two_letters_stays_whoever_bears_its_name() -> None:
    new = result(image(PatientName="No^Hu", BurnedInAnnotation="NO", ScanOptions=["HU", "FS"], RescaleType="HU"))
    assert (new.BurnedInAnnotation, new.ScanOptions, new.RescaleType) == ("NO", ["HU", "FS"], "HU")


def content(concept: str, scheme: str, **values: object) -> Dataset:
    made = Dataset()
    made.RelationshipType, made.ConceptNameCodeSequence = "HAS OBS CONTEXT", [coded(concept, scheme, "Subject")]
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def age_of(number: str, unit: str) -> Dataset:
    measured = Dataset()
    measured.MeasurementUnitsCodeSequence = [coded(unit, "UCUM", "year")]
    measured.FloatingPointValue, measured.NumericValue = float(number), number
    return content("121033", "DCM", ValueType="NUM", MeasuredValueSequence=[measured])


@pytest.mark.parametrize(
    ("number", "unit", "new"), [("95", "a", "90"), ("1150", "mo", "1080"), ("89", "a", "89"), ("300", "ms", "300")]
)
def test_an_age_that_a_report_measures_is_capped(number: str, unit: str, new: str) -> None:
    out = result(image(ContentSequence=[age_of(number, unit)])).ContentSequence[0].MeasuredValueSequence[0]
    assert str(out.NumericValue) == new
    assert ("FloatingPointValue" in out) == (unit == "ms")


@pytest.mark.parametrize("profile", [RESEARCH, FULL_DATES], ids=lambda p: p.name)
@pytest.mark.parametrize(("concept", "scheme"), [("121031", "DCM"), ("21112-8", "LN"), ("184099003", "SCT")])
def test_a_birth_date_in_a_report_is_no_date_to_shift(profile: Profile, concept: str, scheme: str) -> None:
    items = [
        content(concept, scheme, ValueType="DATE", Date="19630417"),
        content(concept, scheme, ValueType="DATETIME", DateTime="19630417101112"),
        content("111060", "DCM", ValueType="DATE", Date="20200615"),
    ]
    new = result(image(ContentSequence=items), profile).ContentSequence
    assert (new[0].Date, new[1].DateTime) == ("19000101", "19000101000000")
    assert new[2].Date not in ("", "19000101")


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_a_retained_uid_is_a_uid() -> None:
    keep = next(profile for profile in PROFILES if profile.name == "research-keep-uids")
    new = result(image(ConcatenationUID="1.2.Brzezinski", IrradiationEventUID=["1.2.3", "1.2.4"]), keep)
    assert "ConcatenationUID" not in new
    assert list(new.IrradiationEventUID) == ["1.2.3", "1.2.4"]
