import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from objects import image, written
from orthanc_deid.confidentiality.identifiers import Identifiers
from orthanc_deid.confidentiality.residual import Finding, search
from orthanc_deid.confidentiality.texts.matcher import matcher
from orthanc_deid.errors import Rejected

KNOWN = Identifiers(
    names=frozenset({"Müller", "Zoë", "Li", "Иванов", "山田"}),
    ids=frozenset({"AB-9917", "7734512", "A1", "12", "4711"}),
    dates=frozenset({"19630417"}),
    uids=frozenset({"1.2.826.5.4"}),
)


def clean(**values: object) -> Dataset:
    ds = Dataset()
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "2.25.1"
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PixelData = bytes(64)
    ds["PixelData"].VR = "OB"
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({"StudyDescription": "of MULLER, second"}, "name"),
        ({"StudyDescription": "of müller"}, "name"),
        ({"StudyDescription": "mu\u0308ller"}, "name"),
        ({"StudyDescription": "ZOE"}, "name"),
        ({"StudyDescription": "Li"}, "name"),
        ({"StudyDescription": "ИВАНОВ"}, "name"),
        ({"StudyDescription": "患者山田様"}, "name"),
        ({"StudyDescription": "case ab-9917/2"}, "id"),
        ({"StudyDescription": "x7734512y"}, "id"),
        ({"StudyDescription": "no 4711."}, "id"),
        ({"ImageType": ["ORIGINAL", "MULLER"]}, None),
        ({"StudyDescription": "born 1963-04-17"}, "birth date"),
        ({"StudyDescription": "17.04.1963"}, "birth date"),
        ({"PatientBirthDate": "19630417"}, "birth date"),
        ({"ImageComments": "see 1.2.826.5.4"}, "uid"),
        ({"FrameOfReferenceUID": "1.2.826.5.4"}, "uid"),
        ({"ExposureTime": "7734512"}, "id"),
    ],
)
def test_an_identifier_is_found(values: dict[str, object], kind: str | None) -> None:
    ds = clean(**values)
    if kind is None:
        ds.ImageType = ["ORIGINAL", "ZOE", "MÜLLER"[:1] + "ULLER"]
    found = search(written(ds), KNOWN)
    tag = ds[next(iter(values))].tag
    assert found == ([Finding(f"({tag.group:04X},{tag.element:04X})", kind)] if kind else found)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("at University Hospital Nordhausen", "place"),
        ("UNIVERSITY HOSPITAL  NORDHAUSEN", "place"),
        ("Nordhausen", None),
        ("Department of Radiology", None),
        ("in Sonneberg", "place"),
        ("03631-5550123", "contact"),
        ("tel +49 3631 555 0123", "contact"),
        ("j.mueller@nordpost.example", "contact"),
        ("MuellerHead", "name"),
        ("Mueller2", "name"),
        ("T1_Mueller", "name"),
        ("Wei^Li", "name"),
        ("Eva Liu", "name"),
        ("LiuEva", "name"),
        ("Müller-Head", "name"),
        ("77 345-12", "id"),
        ("17 April 1963", "birth date"),
        ("b1000", None),
    ],
)
def test_places_contacts_and_names_in_any_form_are_found(text: str, kind: str | None) -> None:
    known = Identifiers(
        names=frozenset({"Müller", "Li Wei", "Liu Eva"}),
        ids=frozenset({"7734512", "1000"}),
        dates=frozenset({"19630417"}),
        places=frozenset({"University Hospital Nordhausen", "Department of Radiology", "Sonneberg", "Ulm"}),
        contacts=frozenset({"+49 3631 5550123", "j.mueller@nordpost.example"}),
    )
    assert [finding.kind for finding in search(written(clean(StudyDescription=text)), known)] == [kind] * bool(kind)


@pytest.mark.parametrize("name", ["Head", "HEAD"])
def test_a_defined_term_in_a_code_names_nobody(name: str) -> None:
    known = Identifiers(names=frozenset({name, "Xyzzy"}))
    assert search(written(clean(BodyPartExamined="HEAD")), known) == []
    assert [f.kind for f in search(written(clean(BodyPartExamined="XYZZY")), known)] == ["name"]
    assert [f.kind for f in search(written(clean(StudyDescription="CT Head")), known)] == ["name"]


def test_the_standards_name_of_what_was_done_is_no_name_of_a_patient() -> None:
    ds, item = clean(), Dataset()
    item.CodeValue, item.CodingSchemeDesignator = "113100", "DCM"
    item.CodeMeaning = "Basic Application Confidentiality Profile"
    ds.DeidentificationMethodCodeSequence = [item]
    known = Identifiers(names=frozenset({"Bašić"}))
    assert search(written(ds), known) == []
    item.CodeMeaning = "of Basic"
    assert len(search(written(ds), known)) == 1


@pytest.mark.parametrize("charset", ["ISO_IR 100", "ISO_IR 192"])
@pytest.mark.parametrize("text", ["MÜLLER", "müller", "Mueller", "MuellerX", "xMÜLLER Y", "_Müller_"])
def test_the_fast_look_misses_nothing_that_the_full_search_finds(charset: str, text: str) -> None:
    known = Identifiers(names=frozenset({"Müller"}))
    data = written(clean(SpecificCharacterSet=charset, StudyDescription=text))
    full = matcher(known).kind(text)
    assert bool(search(data, known)) == bool(full)


@pytest.mark.parametrize(
    "values",
    [
        {"StudyDescription": "Mullerian duct"},
        {"StudyDescription": "Liver"},
        {"StudyDescription": "A1 segment"},
        {"StudyID": "12"},
        {"StudyDescription": "item 14711"},
        {"SeriesNumber": "4711"},
        {"ExposureTime": "12"},
        {"StudyDate": "19630417"},
        {"FrameOfReferenceUID": "1.2.826.5.4.1"},
        {"PatientID": "P7ABC"},
    ],
)
def test_what_only_looks_alike_is_not(values: dict[str, object]) -> None:
    assert search(written(clean(**values)), KNOWN) == []


def test_a_finding_names_the_path_and_never_the_value() -> None:
    inner, outer = Dataset(), Dataset()
    inner.TextValue = "by Müller"
    outer.ContentSequence = [Dataset(), inner]
    [finding] = search(written(clean(ContentSequence=[Dataset(), outer])), KNOWN)
    assert finding == Finding("(0040,A730)[1](0040,A730)[1](0040,A160)", "name")


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_every_encoding_is_searched(syntax: pydicom.uid.UID) -> None:
    ds = clean(StudyDescription="Müller", PatientID="P")
    ds.file_meta.TransferSyntaxUID = syntax
    assert [f.kind for f in search(written(ds), KNOWN)] == ["name"]


@pytest.mark.parametrize("charset", ["ISO_IR 100", "ISO_IR 192", "ISO 2022 IR 100", "GB18030"])
def test_every_character_set_is_searched(charset: str) -> None:
    assert [f.kind for f in search(written(clean(SpecificCharacterSet=charset, StudyDescription="Müller")), KNOWN)]


def test_private_and_binary_text_is_searched() -> None:
    ds = clean()
    ds.add_new(0x00090010, "LO", "ACME")
    ds.add_new(0x00091001, "UN", "Müller ".encode("latin-1"))
    ds.add_new(0x00091002, "OB", "Müller".encode() + b"\x00")
    assert [f.tag for f in search(written(ds), KNOWN)] == ["(0009,1001)", "(0009,1002)"]


def test_a_value_before_a_group_whose_number_is_a_letter_is_found() -> None:
    ds = clean(PatientComments="xxMuller"[2:])
    ds.add_new(0x00540081, "US", 1)
    assert len(search(written(ds), KNOWN)) == 1


def test_pixels_are_not_searched_but_what_follows_a_nested_picture_is() -> None:
    icon = Dataset()
    icon.PixelData = b"Muller 1"
    icon["PixelData"].VR = "OB"
    assert search(written(clean(PixelData=b" Muller ")), KNOWN) == []
    ds = clean(IconImageSequence=[icon])
    ds.add_new(0x00880906, "ST", "of Muller")
    assert [f.tag for f in search(written(ds), KNOWN)] == ["(0088,0906)"]


def test_a_file_that_is_not_readable_never_passes() -> None:
    with pytest.raises(Rejected):
        search(b"Muller", KNOWN)


def test_nothing_known_finds_nothing() -> None:
    assert search(written(image()), Identifiers()) == []
