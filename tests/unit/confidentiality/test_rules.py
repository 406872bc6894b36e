import pytest
from pydantic import ValidationError

from orthanc_deid.confidentiality.rules import Rule, contradictions, parse, tag_of


def rule(action: str, match: str | tuple[str, ...], value: str | None = None) -> Rule:
    return Rule.model_validate({"action": action, "match": match, "value": value})


def test_a_target_is_a_keyword_a_tag_a_pattern_a_private_element_a_vr_or_a_path() -> None:
    assert parse("StudyDate").tag == parse("0008,0020").tag == parse("(0008,0020)").tag == 0x00080020
    assert parse("60xx,3000").pattern == (0x60003000, 0xFF00FFFF)
    assert parse('0019,"SIEMENS MR HEADER",0C').private == ("SIEMENS MR HEADER", 0x0019, 0x0C)
    assert parse('(0019,"SIEMENS MR HEADER",xx)').private == ("SIEMENS MR HEADER", 0x0019, None)
    assert parse("VR LT").vr == "LT"
    assert parse("6002,3000").pattern == (0x60023000, 0xFFFFFFFF)
    path = parse("RequestAttributesSequence/ScheduledProcedureStepDescription")
    assert (path.path, path.tag) == ((0x00400275,), 0x00400007)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("StudyDat", "did you mean StudyDate"),
        ("0008,FFFF", "not in the DICOM dictionary"),
        ("0009,1001", "is private"),
        ('0008,"X",01', "a private group is odd"),
        ("VR ZZ", "no such VR"),
        ("StudyDate/Modality", "StudyDate is not a sequence"),
        ("RequestAttributesSequence/60xx,3000", "a path ends in one attribute"),
        ("*", "no DICOM keyword"),
    ],
)
def test_a_target_that_names_nothing_is_told_with_the_mend(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse(text)


@pytest.mark.parametrize(
    ("action", "match", "value", "told"),
    [
        ("replace", "InstitutionName", None, "value: belongs"),
        ("keep", "InstitutionName", "x", "value: belongs"),
        ("replace", "60xx,4000", "x", "replace needs one"),
        ("replace", "StudyDate", "June", "value: is no DA"),
        ("replace", "Modality", "x" * 17, "value: is no CS"),
        ("replace", "ReferencedImageSequence", "x", "is SQ, which cannot be replaced"),
        ("shift", "StudyDescription", None, "is LO, which cannot be shifted"),
        ("clean", "Rows", None, "is US, which cannot be cleaned"),
        ("hash", "StudyInstanceUID", None, "always mapped"),
        ("map-uid", "StudyID", None, "is SH, which cannot be mapped"),
        ("keep", "PatientName", None, "always the project's pseudonym"),
        ("keep", "DeidentificationMethod", None, "always removed .written by the pass"),
        ("keep", "TransferSyntaxUID", None, "always removed .of the file that was"),
        ("clean", "EncryptedAttributesSequence", None, "always removed .encrypted"),
        ("keep", (), None, "names nothing"),
        ("forget", "StudyID", None, "Input should be"),
    ],
)
def test_a_rule_that_cannot_be_done_says_why(action: str, match: str, value: str | None, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        rule(action, match, value)


def test_one_attribute_under_two_names_is_one_target() -> None:
    told = list(contradictions((rule("keep", "StudyID"), rule("remove", "(0020,0010)"))))
    assert told == ["(0020,0010): one rule says keep, another remove"]
    assert list(contradictions((rule("keep", "StudyID"), rule("keep", "0020,0010")))) == []
    assert list(contradictions((rule("keep", "StudyID"), rule("remove", "RequestAttributesSequence/StudyID")))) == []


def test_a_tag_is_named_by_keyword_or_number() -> None:
    assert tag_of("StudyID") == tag_of("0020,0010") == tag_of("0020-0010") == tag_of("00200010") == 0x00200010
