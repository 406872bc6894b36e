"""An identity is planted wherever a file can carry one: nothing of it comes out, and what may stay does."""

import struct
import warnings
from collections.abc import Iterable
from functools import cache

import pytest
from pydicom._dicom_dict import DicomDictionary
from pydicom.charset import python_encoding
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit

import made_objects
from objects import MARKER, PROFILES, RESEARCH, VERSION, every_dataset, pseudonyms, written
from orthanc_deid.confidentiality.deidentify import deidentify
from orthanc_deid.confidentiality.identifiers import Identifiers
from orthanc_deid.confidentiality.plan import Action, decisions
from orthanc_deid.confidentiality.private import lists as private
from orthanc_deid.confidentiality.profile import Profile
from orthanc_deid.confidentiality.standard.options import IMPLEMENTED, Option
from orthanc_deid.errors import Rejected
from planting import (
    ACCESSION,
    BIRTH,
    CONTROL,
    CONTROL_NUMBER,
    FIRST,
    ID,
    INSTITUTION,
    NAME,
    PHONE,
    ROOT,
    STRANGER,
    STUDY,
    SYNTAXES,
    VRS,
    Element,
    Items,
    element,
    encoded,
    file,
    forbidden,
    image,
    left,
    nested,
    padded,
    passed,
    plant,
    proved,
    read,
)

VALUES = (NAME, f"{NAME}^{FIRST}", ID, BIRTH, ACCESSION, INSTITUTION, PHONE, STUDY)
NUMBERS = frozenset({"AT", "FD", "FL", "OB", "OD", "OF", "OL", "OV", "OW", "SL", "SS", "SV", "UL", "US", "UV"})
ALONE = tuple(
    Profile(name="alone", version="1", title=str(option), options=(option,)) for option in sorted(IMPLEMENTED)
)
# What makes the file the patient's, and what the tests look for afterwards.
ANCHORS = frozenset(each.tag for each in image()) | {0x00080005, 0x00280301, 0x00082218, 0x00420011}


def named(profile: Profile) -> str:
    return profile.title if profile.name == "alone" else profile.name


every_profile = pytest.mark.parametrize("profile", PROFILES, ids=named)


def value(vr: str, *, amid: bool) -> bytes:
    """Answer the bytes of all that identifies; `amid` other text, or each as a value by itself."""
    texts = [f"B30f {text} x" for text in VALUES] if amid else list(VALUES)
    if vr in ("DA", "DT"):
        texts = [text for text in texts if BIRTH not in text]  # a date of the study may be equal to it
    joined = (" " if vr in ("ST", "LT", "UT", "UR") else "\\").join(texts).encode()
    return joined.ljust(-(-len(joined) // 8) * 8, b" ") if vr in NUMBERS else padded(joined, vr)


@cache
def attributes(vr: str) -> tuple[int, ...]:
    """Answer every attribute of the dictionary that has a VR first, but for those that make the file."""
    outside = (0x0000, 0x0002, 0x0004, 0xFFFE)
    return tuple(
        tag
        for tag, (first, *_) in DicomDictionary.items()
        if first.split(" ")[0] == vr and tag >> 16 not in outside and tag not in ANCHORS
    )


def everywhere(vr: str, *, amid: bool = False) -> list[Element]:
    """Plant in every attribute of a VR, outside of sequences and in an item."""
    found = tuple(plant(tag, value(vr, amid=amid), vr) for tag in attributes(vr))
    return image(*found, *nested(found, 1))


def has_controls(ds: Dataset, depth: int = 0) -> bool:
    """Tell whether the text and the number that stay are in a dataset and so many items deep."""
    for _ in range(depth):
        ds = ds.AnatomicRegionSequence[0]
    return bool(ds.Manufacturer == CONTROL and str(ds.KVP) == CONTROL_NUMBER)


# --- every VR, attribute, depth -------------------------------------------------------------------------------------


@every_profile
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian], ids=["implicit", "explicit"])
@pytest.mark.parametrize("vr", [vr for vr in VRS if vr not in ("SQ", "UN")])
def test_no_attribute_of_the_dictionary_carries_an_identity_out(vr: str, syntax: str, profile: Profile) -> None:
    for amid in (True, False) if vr not in NUMBERS else (False,):
        ds = proved(passed(file(everywhere(vr, amid=amid), syntax), profile), profile)
        assert has_controls(ds, 1)


@pytest.mark.parametrize("profile", ALONE, ids=named)
@pytest.mark.parametrize("vr", ["LO", "SH", "LT", "PN", "DA", "UI", "CS"])
def test_no_option_by_itself_lets_an_identity_pass(vr: str, profile: Profile) -> None:
    retained = {tag for tag, decision in decisions(profile) if "Retain" in decision.why}
    found = [plant(tag, value(vr, amid=False), vr) for tag in attributes(vr) if tag not in retained]
    assert has_controls(proved(passed(file(image(*found)), profile), profile))


def test_every_action_is_among_the_attributes_of_these_tests() -> None:
    tested = {tag for vr in VRS for tag in attributes(vr)} | ANCHORS
    met = {decision.action for profile in PROFILES for tag, decision in decisions(profile) if tag in tested}
    assert set(Action) - met <= {Action.REPLACE, Action.HASH, Action.AS_IS}  # of a site's own rules


@every_profile
@pytest.mark.parametrize("depth", range(6))
@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda uid: uid.name)
def test_an_identity_at_any_depth_is_gone_in_every_transfer_syntax(syntax: str, depth: int, profile: Profile) -> None:
    found = (*image()[:14], *(plant(tag, value(vr, amid=True), vr) for tag, vr in _KINDS.items()))
    ds = proved(passed(file([*image(*found), *nested(found, depth)], syntax), profile), profile)
    assert has_controls(ds, depth)
    assert ds.file_meta.TransferSyntaxUID == syntax
    assert ds.PixelData.count(b"\x01\x02\x03\x04") == 1


# One attribute of each VR and each kind of decision, some retired.
_KINDS = {
    0x00080005 + 0x4B: "SH",  # Accession Number
    0x00080081: "ST",  # Institution Address: X/Z/D
    0x00081030: "LO",  # Study Description: cleaned
    0x00081070: "PN",  # Operators' Name
    0x00100040: "CS",  # Patient's Sex
    0x00101040: "LO",  # Patient's Address
    0x00104000: "LT",  # Patient Comments
    0x00181020: "LO",  # Software Versions: screened
    0x00204000: "LT",  # Image Comments
    0x00280010 + 0x3FF0: "LT",  # Image Presentation Comments, retired
    0x00324000: "LT",  # Study Comments, retired
    0x0040A121: "DA",
    0x0040A160: "UT",
    0x0040A124: "UI",
    0x00400253: "SH",
    0x00181000: "LO",  # Device Serial Number
    0x40080042: "LO",  # retired group of interpretations
    0x60000022: "LO",
    0x50000022: "LO",
    0x60003000: "OW",
    0x00280001: "LO",  # unknown
}


@every_profile
def test_undefined_lengths_and_several_items_change_nothing(profile: Profile) -> None:
    items = tuple((*controls, element("ImageComments", f"{NAME} {n}")) for n, controls in enumerate([CONTROLS] * 3))
    ds = proved(passed(file(image(Element(0x00082218, "SQ", items, undefined=True))), profile), profile)
    assert [item.Manufacturer for item in ds.AnatomicRegionSequence] == [CONTROL] * 3


CONTROLS = (element("Manufacturer", CONTROL), element("KVP", CONTROL_NUMBER))


# --- what no structured field mentions -------------------------------------------------------------------------------


def descriptors() -> dict[int, str]:
    """Answer the texts that Clean Descriptors cleans."""
    cleaned = (tag for tag, decision in decisions(RESEARCH) if decision.action is Action.CLEAN)
    return {tag: DicomDictionary[tag][0].split(" ")[0] for tag in cleaned if tag not in ANCHORS}


@every_profile
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian], ids=["implicit", "explicit"])
def test_a_stranger_in_a_descriptor_is_gone_and_clinical_words_stay(syntax: str, profile: Profile) -> None:
    text = f"Abdomen {STRANGER} contrast"
    found = tuple(plant(tag, text, vr) for tag, vr in descriptors().items())
    ds = proved(passed(file([*image(*found), *nested(found, 1)], syntax), profile), profile, STRANGER)
    assert has_controls(ds, 1)
    if profile.name.startswith("research"):
        assert "Abdomen" in str(ds.StudyDescription)
        assert "contrast" in ds.AnatomicRegionSequence[0].ImageComments
        assert str(ds).count("Abdomen") > len(found)


# --- wrong VRs, lengths, controls ------------------------------------------------------------------------------------


@every_profile
@pytest.mark.parametrize("vr", [*VRS, "ZZ"])
def test_a_wrong_vr_hides_nothing_and_the_output_is_readable(vr: str, profile: Profile) -> None:
    keywords = (
        *("AccessionNumber", "StudyDescription", "SoftwareVersions", "ReferringPhysicianName", "PatientID"),
        *("PatientName", "StudyDate", "StudyTime", "ReferencedSOPInstanceUID", "ReferencedSOPClassUID", "PatientAge"),
        *("BodyPartExamined", "SliceThickness", "InstanceNumber", "Rows", "ICCProfile", "RetrieveAETitle"),
        *("FrameIncrementPointer", "ImageComments", "TextValue", "StationName", "EchoTime", "SpectralWidth"),
    )
    content = (CONTROLS,) if vr == "SQ" else f"{NAME} {FIRST}  ".encode().ljust(24)
    found = tuple(Element(element(keyword, b"").tag, vr, content) for keyword in keywords)
    data = file([*image(), *nested(found, 1)])
    if vr == "ZZ":  # nobody knows how long its length is
        with pytest.raises(Rejected):
            passed(data, profile)
    else:
        assert has_controls(proved(passed(data, profile), profile), 1)


@every_profile
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian], ids=["implicit", "explicit"])
def test_odd_lengths_and_overlong_values_are_cleaned(syntax: str, profile: Profile) -> None:
    odd = tuple(Element(tag, vr, b"B30f " + NAME.encode()) for tag, vr in _KINDS.items() if vr not in ("UI", "OW"))
    assert len(odd[0].value) % 2 == 0  # type: ignore[arg-type]  # bytes
    odd = tuple(Element(each.tag, each.vr, b" " + each.value) for each in odd)  # type: ignore[operator]  # bytes
    long = element("SoftwareVersions", f"{'VB17A ' * 400}{NAME}")
    ds = proved(passed(file([*image(*odd, long), *nested(odd, 2)], syntax), profile), profile)
    assert has_controls(ds, 2)
    assert "VB17A" in str(ds.SoftwareVersions)


@every_profile
def test_a_sequence_in_bytes_of_unknown_vr_is_looked_into(profile: Profile) -> None:
    items = (
        *CONTROLS,
        element("PatientName", NAME),
        element("ImageComments", STRANGER),
        element("StudyInstanceUID", STUDY),
    )
    body = encoded(items, implicit=True, little=True)
    content = struct.pack("<HHI", 0xFFFE, 0xE000, len(body)) + body
    ds = proved(passed(file(image(plant(0x00082218, content, "UN"))), profile), profile, STRANGER)
    assert has_controls(ds, 1)
    big = proved(passed(file(image(plant(0x00082218, content, "UN")), ExplicitVRBigEndian), profile), profile, STRANGER)
    assert has_controls(big)


# --- private ---------------------------------------------------------------------------------------------------------


@every_profile
@pytest.mark.parametrize("unknown", [False, True], ids=["with VR", "as UN"])
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian], ids=["implicit", "explicit"])
def test_no_listed_private_element_carries_an_identity_out(
    syntax: str,
    unknown: bool,  # noqa: FBT001  # a parameter of the test
    profile: Profile,
) -> None:
    for block in _blocks(unknown=unknown):
        ds = proved(passed(file([*image(*block), *nested(block, 1)], syntax), profile), profile)
        assert has_controls(ds, 1)


def _blocks(*, unknown: bool) -> Iterable[Items]:
    """Answer a block for each creator and group of the lists, each element with the identity."""
    blocks: dict[tuple[str, int], dict[int, Element]] = {}
    for entry in private.listed(private.LISTS):
        vr = entry.safe.vr if entry.safe.vr != "SQ" else "UN"
        block = blocks.setdefault((entry.creator, entry.group), {})
        block[0] = plant(entry.group << 16 | 0x10, entry.creator, "LO")
        tag = entry.group << 16 | 0x1000 | entry.offset
        block[tag] = plant(tag, value(vr, amid=True), "UN" if unknown else vr)
    for block in blocks.values():
        yield tuple(block.values())


@every_profile
def test_private_blocks_that_nobody_listed_are_gone_with_their_creators(profile: Profile) -> None:
    inner = (*CONTROLS, element("PatientName", NAME))
    block = (
        plant(0x00290010, f"{NAME} HEADER", "LO"),
        plant(0x00291001, f"{NAME}", "LO"),
        plant(0x00291002, (inner,), "SQ"),
        plant(0x00291003, NAME, "UN"),
        plant(0x00310002, NAME, "LO"),  # of no block
        plant(0x00311001, NAME, "LO"),  # of a block that nobody reserved
        plant(0x00190010, "SIEMENS MR HEADER", "LO"),
        plant(0x0019100A, 8, "US"),
        plant(0x0019100C, NAME, "IS"),
        plant(0x001910FF, NAME, "LO"),  # a listed creator, an element that is not
    )
    ds = proved(passed(file([*image(*block), *nested(block, 2)]), profile), profile)
    assert has_controls(ds, 2)
    assert not [elem for each in every_dataset(ds) for elem in each if elem.tag.group in (0x29, 0x31)]
    if profile.name.startswith("research"):
        assert ds[0x0019100A].value == ds.AnatomicRegionSequence[0].AnatomicRegionSequence[0][0x0019100A].value == 8


# --- the file --------------------------------------------------------------------------------------------------------


@every_profile
@pytest.mark.parametrize("syntax", SYNTAXES[:3], ids=lambda uid: uid.name)
def test_nothing_comes_through_around_the_dataset(syntax: str, profile: Profile) -> None:
    planted = (
        plant(0x00080000, f"{NAME} ".encode(), "UL"),
        plant(0x00100000, f"{NAME} ", "LO"),
        plant(0x00080001, f"{NAME} ".encode(), "UL"),
        plant(0xFFFCFFFC, f"{NAME} ".encode(), "OB"),
    )
    inside = (plant(0x00020016, NAME, "AE"), plant(0x00000902, NAME, "LO"), plant(0x00041500, NAME, "CS"))
    data = file([*image(*planted), *nested(inside, 1)], syntax, preamble=f"II*\x00 {NAME}".encode())
    out = passed(data, profile)
    assert has_controls(proved(out, profile), 1)
    assert out[:128] == bytes(128)


@every_profile
def test_bytes_behind_the_dataset_are_refused_or_gone(profile: Profile) -> None:
    for trailing in (f"{NAME} ".encode(), f"{NAME} {FIRST} of {INSTITUTION}".encode() * 3, bytes(64) + NAME.encode()):
        try:
            out = passed(file(image(), trailing=trailing), profile)
        except Rejected:
            continue
        assert left(out, forbidden(profile)) == set()


# --- character sets --------------------------------------------------------------------------------------------------

# Terms of PS3.3 C.12.1.1.2 -> a name in their script.
SCRIPTS = {
    "": "Zyxwvut",
    "ISO_IR 100": "Größbärin",
    "ISO_IR 101": "Łobrzyński",
    "ISO_IR 109": "Ĉerĝumado",
    "ISO_IR 110": "Šķirgailė",
    "ISO_IR 144": "Дорофеева",
    "ISO_IR 127": "قباني",
    "ISO_IR 126": "Διονυσιος",
    "ISO_IR 138": "ליבוביץ",
    "ISO_IR 148": "Çavuşoğlu",
    "ISO_IR 166": "นามสกุล",
    "ISO_IR 13": "ﾔﾏﾀﾞﾖｼ",
    "ISO_IR 192": "山田太郎兵衛",
    "GB18030": "欧阳小东方",
    "GBK": "欧阳小东方",
    "\\ISO 2022 IR 87": "山田太郎兵衛",
    "\\ISO 2022 IR 159": "丂丒丄仠伃佪",
    "\\ISO 2022 IR 149": "김희중남궁",
    "\\ISO 2022 IR 58": "张小东方玉",
    "ISO 2022 IR 100\\ISO 2022 IR 144": "Дорофеева",
    "ISO 2022 IR 13\\ISO 2022 IR 87": "山田太郎兵衛",
}


@every_profile
@pytest.mark.parametrize("declared", ["same", "in the item"])
@pytest.mark.parametrize("terms", SCRIPTS)
def test_a_name_in_any_character_set_is_found_and_the_output_decodes(
    terms: str, declared: str, profile: Profile
) -> None:
    name = SCRIPTS[terms]
    raw = [spelt for codec in _codecs(terms) if (spelt := _spelt(name, codec))]
    assert raw
    charset = (element("SpecificCharacterSet", terms),) if terms else ()
    texts = tuple(plant(tag, padded(b"VB17A " + raw[0], vr), vr) for tag, vr in _SHOWN.items())
    person = plant(0x00100010, padded(raw[0] + b"^" + FIRST.encode(), "PN"), "PN")
    inside = nested((*charset, *texts), 1)
    outside = (*charset, *texts) if declared == "same" else ()
    person_at = person if outside or not charset else element("PatientID", ID)
    nested_person = nested((*charset, person, *texts), 1)
    ds = read(out := passed(file(image(*outside, person_at, *(inside if outside else nested_person))), profile))
    assert name not in "".join(str(elem.value) for each in every_dataset(ds) for elem in each)
    assert not [spelt for spelt in raw if spelt in out]
    assert has_controls(ds, 1)
    assert "VB17" in str(ds.AnatomicRegionSequence[0].SoftwareVersions)


# Texts that stay, screened or cleaned, of each VR.
_SHOWN = {0x00181020: "LO", 0x00081030: "LO", 0x00189005: "SH", 0x00204000: "LT", 0x0040A160: "UT", 0x00082111: "ST"}


def _codecs(terms: str) -> list[str]:
    return [python_encoding[term] for term in reversed(terms.split("\\"))]


def _spelt(name: str, codec: str) -> bytes:
    calls = {"euc_kr": b"\x1b$)C", "iso_ir_58": b"\x1b$)A", "iso_ir_144": b""}
    try:
        return calls.get(codec, b"") + name.encode(codec)
    except (UnicodeEncodeError, LookupError):
        return b""


# --- objects ---------------------------------------------------------------------------------------------------------


@every_profile
@pytest.mark.parametrize("name", made_objects.everything())
@pytest.mark.filterwarnings("ignore")
def test_every_kind_of_object_comes_out_without_its_patient(name: str, profile: Profile) -> None:
    source = made_objects.everything()[name]
    data = written(source)
    assert data.count(MARKER.encode()) > 5
    ds = proved(passed(data, profile), profile, MARKER, "Qponmlk", "MRN-770002", "RP-880001", "PPS-990001")
    assert (ds.SOPClassUID, ds.Modality, ds.Manufacturer) == (source.SOPClassUID, source.Modality, "ACME")
    assert ds.get("PixelData") == source.get("PixelData")


# --- tricks ----------------------------------------------------------------------------------------------------------


def trick(*elements: Element, gone: str = NAME, syntax: str = ExplicitVRLittleEndian) -> tuple[bytes, str]:
    return file(image(*elements), syntax), gone


UTF16 = f"(c) {NAME} {FIRST}".encode("utf-16-be")
TRICKS = {
    "a name beside another word in a code, implicit": trick(
        element("BodyPartExamined", f"KNEE {NAME.upper()}"), syntax=ImplicitVRLittleEndian
    ),
    "a birth date in a code, implicit": trick(
        element("BodyPartExamined", BIRTH), gone=BIRTH, syntax=ImplicitVRLittleEndian
    ),
    "a birth date as decimal": trick(element("SliceThickness", BIRTH), gone=BIRTH),
    "a birth date as integer": trick(element("InstanceNumber", BIRTH), gone=BIRTH),
    "a phone number as decimal": trick(element("SliceThickness", PHONE), gone="555 01 77"),
    "a short name as decimal": trick(
        element("OtherPatientNames", "Meier^A"), element("SliceThickness", "Meier"), gone="Meier"
    ),
    "a stranger as decimal": trick(element("SliceThickness", STRANGER), gone=STRANGER),
    "a name as age": trick(element("Manufacturer", NAME, "AS")),
    "a name under the root of the standard": trick(element("ReferencedSOPInstanceUID", f"1.2.840.10008.{NAME}")),
    "a date under the root of the standard": trick(
        element("ReferencedSOPInstanceUID", "1.2.840.10008.5.1.4.1.1.2.20200615.7788.1"), gone="20200615.7788"
    ),
    "an id as class": trick(
        element("ReferencedSOPClassUID", "7700012345"), element("OtherPatientIDs", "7700012345"), gone="7700012345"
    ),
    "a name as study": trick(element("StudyInstanceUID", f"{ROOT}.1.{NAME}")),
    "a name in floating pixels": trick(plant(0x7FE00008, f"{NAME} ".encode(), "OF")),
    "a name in the pixels of an item": trick(
        plant(0x00082218, ((*CONTROLS, element("PixelData", f"{NAME}  ".encode() * 3, "OB")),), "SQ")
    ),
    "a name behind the pixels": trick(element("PixelData", b"\x01\x02\x03\x04" + f"{NAME} ".encode() * 3, "OB")),
    "a comment in a JPEG": trick(
        element("PixelData", b"\xff\xd8\xff\xfe\x00\x0b" + f"{NAME}  ".encode() + b"\xff\xd9", "OB"),
        syntax=JPEGBaseline8Bit,
    ),
    "a name in a colour profile": trick(element("ICCProfile", b"\x00\x00\x02\x00appl" + UTF16[:40], "OB"), gone=NAME),
    "a text of lines in bytes": trick(element("ICCProfile", f"of\n{STRANGER}\n".encode(), "OB"), gone=STRANGER),
    "a text in words": trick(
        element("RedPaletteColorLookupTableData", f"desc {STRANGER} ".encode(), "OW"), gone=STRANGER
    ),
    "a short name in numbers": trick(
        element("OtherPatientNames", "Meier^A"), element("Rows", b"Meier ", "US"), gone="Meier"
    ),
    "a NUL in a name": trick(element("SoftwareVersions", f"VB {NAME[:3]}\x00{NAME[3:]}")),
    "a soft hyphen in a name": trick(
        element("SpecificCharacterSet", "ISO_IR 100"),
        element("SoftwareVersions", f"VB {NAME[:3]}\xad{NAME[3:]}"),
        gone=NAME[3:],
    ),
    "an invisible blank in a name": trick(
        element("SpecificCharacterSet", "ISO_IR 192"),
        element("SoftwareVersions", f"VB {NAME[:3]}\u200b{NAME[3:]}".encode()),
        gone=NAME[3:],
    ),
    "a name that the file calls a text": trick(
        element("PatientName", "Brontosaur^A", "LO"), element("SoftwareVersions", "VB Brontosaur"), gone="Brontosaur"
    ),
    "UTF-8 that is declared as Latin-1": trick(
        element("SpecificCharacterSet", "ISO_IR 100"),
        element("PatientName", "Größbär^Anna".encode()),
        element("SoftwareVersions", "VB Größbär".encode()),
        gone="Größbär",
    ),
    "an id as time": trick(element("PatientID", "770001"), element("AcquisitionTime", "770001"), gone="770001"),
    "an id at the end of a date": trick(
        element("PatientID", "778899"), element("AcquisitionDateTime", "20200615778899"), gone="778899"
    ),
    "a UID with zeros in a text": trick(
        element("SoftwareVersions", "VB 1.2.826.0.01.3680043.10.1337.4"), gone=ROOT[8:]
    ),
    "a UID in a code": trick(element("BodyPartExamined", STUDY), gone=STUDY),
    "a typed code meaning": trick(element("CodeMeaning", STRANGER), gone=STRANGER),
    "two names in one word": trick(element("SoftwareVersions", f"{FIRST}{NAME}")),
    "a name in an AE title": trick(element("RetrieveAETitle", f"WS_{NAME}")),
    "a name in an image type": trick(element("ImageType", f"ORIGINAL\\PRIMARY\\{NAME.upper()}")),
    "a name as character set": trick(element("SpecificCharacterSet", f"ISO_IR 100\\{NAME.upper()}")),
    "a name in the source's method": trick(element("DeidentificationMethod", NAME)),
    "a name in a code value": trick(element("CodeValue", NAME), element("LongCodeValue", f"X-{NAME}")),
    "a name in the address of a code": trick(element("CodingSchemeURL", f"http://x/{NAME}", "UR")),
    "a number of a private element that is text": trick(
        plant(0x00290010, "GEMS_IMPS_01", "LO"), plant(0x00291004, f"{NAME}  ".encode(), "UN")
    ),
}


@every_profile
@pytest.mark.parametrize("name", TRICKS)
def test_no_trick_carries_an_identity_out(name: str, profile: Profile) -> None:
    data, gone = TRICKS[name]
    retained = profile.has(Option.UIDS) and gone.count(".")
    ds = proved(passed(data, profile), profile, *([] if retained else [gone]))
    assert str(ds.KVP) == CONTROL_NUMBER


@every_profile
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TRICKS)
def test_the_door_lets_no_trick_out(name: str, profile: Profile) -> None:
    data, _gone = TRICKS[name]
    try:
        done = deidentify(data, profile, pseudonyms(), Identifiers(), version=VERSION)
    except Rejected:
        return
    assert left(done.data, forbidden(profile)) == set()


def test_the_door_warns_of_no_value(recwarn: pytest.WarningsRecorder) -> None:
    data, _gone = TRICKS["a name as study"]
    warnings.simplefilter("always")
    deidentify(data, RESEARCH, pseudonyms(), Identifiers(), version=VERSION)
    assert [str(warning.message) for warning in recwarn] == []
