"""What a profile's own rules and options do to a dataset."""

import io
from collections import Counter

import pydicom
import pytest
from pydicom.dataset import Dataset

from objects import MARKER, PATIENT, RESEARCH, VERSION, image, known_of, pseudonyms, written
from orthanc_deid.confidentiality.encode import decode, encode
from orthanc_deid.confidentiality.profile import Profile
from orthanc_deid.confidentiality.rewrite import rewrite
from orthanc_deid.confidentiality.standard.options import Option
from orthanc_deid.confidentiality.texts.dates import shifted
from orthanc_deid.errors import Rejected


def profile(*rules: dict[str, object], options: tuple[Option, ...] = (), **values: object) -> Profile:
    return Profile.model_validate(
        {"name": "p", "version": "1", "title": "t", "rules": rules, "options": options} | values
    )


def result(ds: Dataset, told: Profile, notes: Counter[str] | None = None) -> Dataset:
    data = written(ds)
    known = known_of(data, told)
    new = rewrite(decode(data), told, pseudonyms(), PATIENT, version=VERSION, known=known, notes=notes)
    return pydicom.dcmread(io.BytesIO(encode(new)))


def item(**values: object) -> Dataset:
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def test_each_action_does_what_its_name_says() -> None:
    told = profile(
        {"action": "keep", "match": "StudyID"},
        {"action": "remove", "match": "Modality"},
        {"action": "empty", "match": "Manufacturer"},
        {"action": "dummy", "match": "BodyPartExamined"},
        {"action": "replace", "match": "InstitutionName", "value": "Site 7"},
        {"action": "hash", "match": "StationName"},
        {"action": "shift", "match": "StudyDate"},
        {"action": "map-uid", "match": "UID"},
    )
    ds = image(
        Manufacturer="ACME", BodyPartExamined="CHEST", InstitutionName="General", StationName="CT01", UID="1.2.3"
    )
    new = result(ds, told)
    assert new.StudyID == "SID-0001"
    assert "Modality" not in new
    assert (new.Manufacturer, new.BodyPartExamined, new.InstitutionName) == ("", "WHOLEBODY", "Site 7")
    assert new.StationName == pseudonyms().token("CT01") != "CT01"
    assert len(new.StationName) == 16
    assert new.StudyDate not in ("", "20200615")
    assert pseudonyms().uid("1.2.3") == new.UID


def test_a_path_is_for_items_of_that_sequence_alone() -> None:
    told = profile(
        {"action": "keep", "match": "ReferencedSeriesSequence/ReferencedImageSequence/StudyID"},
        {"action": "hash", "match": "ReferencedImageSequence/StudyID"},
    )
    inner = item(StudyID="A", ReferencedSOPInstanceUID="1.2.3")
    ds = image(ReferencedSeriesSequence=[item(ReferencedImageSequence=[inner])], ReferencedImageSequence=[inner])
    new = result(ds, told)
    assert new.ReferencedSeriesSequence[0].ReferencedImageSequence[0].StudyID == "A"
    assert new.ReferencedImageSequence[0].StudyID == pseudonyms().token("A")
    assert new.StudyID == ""


def test_a_value_representation_and_a_pattern_name_many() -> None:
    told = profile({"action": "remove", "match": "VR DS"}, {"action": "keep", "match": "60xx,0022"})
    ds = image(SliceThickness="1.5")
    ds.add_new(0x60020022, "LO", "liver")
    ds.add_new(0x60020040, "CS", "G")
    new = result(ds, told)
    assert "SliceThickness" not in new
    assert new[0x60020022].value == "liver"
    assert 0x60020040 not in new


def test_one_attribute_of_a_repeating_group_can_be_named_and_the_narrowest_rule_wins() -> None:
    told = profile({"action": "keep", "match": "6002,0022"}, {"action": "remove", "match": "60xx,0022"})
    ds = image()
    ds.add_new(0x60000022, "LO", "spleen")
    ds.add_new(0x60020022, "LO", "liver")
    new = result(ds, told)
    assert new[0x60020022].value == "liver"
    assert 0x60000022 not in new


@pytest.mark.parametrize("block", [0x10, 0xE7])
@pytest.mark.parametrize("nested", [False, True])
def test_a_private_element_is_found_by_its_creator_wherever_its_block_sits(block: int, *, nested: bool) -> None:
    told = profile({"action": "keep", "match": '0019,"ACME MR",0C'}, {"action": "shift", "match": '0019,"ACME MR",0D'})
    ds = image(ReferencedImageSequence=[Dataset()])
    at = ds.ReferencedImageSequence[0] if nested else ds
    for creator, number, text in (("OTHER", 0x77, "b0"), ("ACME MR", block, "b1000")):
        at.add_new(0x00190000 | number, "LO", creator)
        at.add_new(0x00190000 | number << 8 | 0x0C, "LO", text)
        at.add_new(0x00190000 | number << 8 | 0x0D, "DA", "20200615")
    new = result(ds, told)
    found = new.ReferencedImageSequence[0] if nested else new
    block_of_acme = found.private_block(0x0019, "ACME MR")
    assert block_of_acme[0x0C].value == "b1000"
    assert block_of_acme[0x0D].value == shifted("20200615", pseudonyms().offset_days(PATIENT))
    assert new.LongitudinalTemporalInformationModified == "MODIFIED"
    assert not [tag for tag in found.keys() if tag.is_private and tag.element >> 8 == 0x77]  # noqa: SIM118  # a dataset


def test_safe_private_elements_stay_without_what_is_known_of_the_study() -> None:
    ds = image()
    siemens = ds.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    siemens.add_new(0x0C, "IS", "1000")
    siemens.add_new(0x0E, "FD", [0.0, 0.6, 0.8])
    siemens.add_new(0x08, "CS", MARKER.upper())
    siemens.add_new(0x77, "LO", "not in any list")
    ds.private_block(0x0099, "NOBODY KNOWS", create=True).add_new(0x01, "LO", "x")
    new = result(ds, RESEARCH)
    kept = new.private_block(0x0019, "SIEMENS MR HEADER")
    assert kept[0x0C].value == 1000
    assert list(kept[0x0E].value) == [0.0, 0.6, 0.8]
    assert 0x77 not in kept
    assert MARKER.upper().encode() not in encode(new)
    assert not [tag for tag in new.keys() if tag.group == 0x0099]  # noqa: SIM118
    assert not [tag for tag in result(ds, profile()).keys() if tag.is_private]  # noqa: SIM118


def test_a_date_that_cannot_be_read_is_removed_and_told_without_its_value() -> None:
    notes: Counter[str] = Counter()
    with pytest.warns(UserWarning, match="Invalid value for VR DA"):
        ds = image(SeriesDate="15 June 2020")
    new = result(ds, RESEARCH, notes)
    assert "SeriesDate" not in new
    assert notes == {"removed 0008,0021: not a date or time of PS3.5": 1}


def test_a_list_vouches_for_one_kind_of_value_and_for_bytes_that_nobody_knows() -> None:
    told = profile(options=(Option.SAFE_PRIVATE,), private={"lists": ("standard", "converter", "tcia")})
    ds = image()
    ds.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0E, "LT", "a direction in words")
    ds.private_block(0x0009, "ELEKTA GAMMAPLAN", create=True).add_new(0x20, "UN", bytes(range(8)))
    new = result(ds, told)
    assert not [tag for tag in new.keys() if tag.group == 0x0019]  # noqa: SIM118
    assert new.private_block(0x0009, "ELEKTA GAMMAPLAN")[0x20].value == bytes(range(8))


def test_text_in_bytes_is_removed_and_told() -> None:
    notes: Counter[str] = Counter()
    ds = image()
    ds.add_new(0x00283002 + 4, "OB", b"Smith, John ")  # LUT Data
    ds.add_new(0x00282000, "OB", bytes(range(64)))  # ICC Profile
    new = result(ds, RESEARCH, notes)
    assert "LUTData" not in new
    assert new.ICCProfile == bytes(range(64))
    assert notes == {"removed 0028,3006: text in bytes": 1}


def test_an_image_that_says_it_has_burned_in_text_is_refused_unless_the_profile_lets_it() -> None:
    ds = image(BurnedInAnnotation="YES")
    with pytest.raises(Rejected, match="BurnedInAnnotation YES"):
        result(ds, profile())
    assert result(ds, profile(pixels={"burned_in": "keep"})).BurnedInAnnotation == "YES"


def test_retaining_options_keep_what_they_name() -> None:
    options = (Option.UIDS, Option.FULL_DATES, Option.INSTITUTION_IDENTITY, Option.DEVICE_IDENTITY)
    ds = image(InstitutionName="General", StationName="CT01", TimezoneOffsetFromUTC="+0100")
    new = result(ds, profile(options=options))
    assert (new.InstitutionName, new.StationName, new.TimezoneOffsetFromUTC) == ("General", "CT01", "+0100")
    assert (new.StudyInstanceUID, new.SOPInstanceUID) == (ds.StudyInstanceUID, ds.SOPInstanceUID)
    assert new.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
    assert (new.StudyDate, new.StudyTime) == ("20200615", "101112")
    assert new.LongitudinalTemporalInformationModified == "UNMODIFIED"
    assert new.PatientBirthDate == ""


def test_weekdays_stay_where_the_profile_says_so() -> None:
    moved = [
        result(image(StudyDate="20200615"), profile(options=(Option.MODIFIED_DATES,), dates={"keep_weekday": keep}))
        for keep in (True, False)
    ]
    weekdays = [pydicom.valuerep.DA(new.StudyDate).weekday() for new in moved]
    assert weekdays[0] == 0  # a Monday
    assert moved[0].StudyDate != "20200615"


def test_a_body_with_a_name_in_a_text_that_stays_loses_the_name_alone() -> None:
    told = profile({"action": "keep", "match": "AccessionNumber"})
    new = result(image(ConvolutionKernel=f"B30f {MARKER}", SoftwareVersions="VB17A"), told)
    assert MARKER not in str(new.ConvolutionKernel)
    assert "B30f" in str(new.ConvolutionKernel)
    assert new.SoftwareVersions == "VB17A"
    assert new.AccessionNumber == "ACC-550001"


def test_a_surname_that_is_a_term_of_the_standard_stays_where_it_is_the_term() -> None:
    ds = image(PatientName="Head^John", BodyPartExamined="HEAD", ScanOptions=["FS", "JOHN"], StudyDescription="MR Head")
    new = result(ds, RESEARCH)
    assert new.BodyPartExamined == "HEAD"
    assert list(new.ScanOptions) == ["FS", ""]
    assert new.StudyDescription == "MR"
