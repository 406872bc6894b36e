import pytest
from pydicom.datadict import tag_for_keyword

from orthanc_deid.confidentiality.plan import Action, Decision, decisions, plan
from orthanc_deid.confidentiality.profile import Profile
from orthanc_deid.confidentiality.standard.options import Option


def profile(*options: Option, **values: object) -> Profile:
    return Profile.model_validate({"name": "p", "version": "1", "title": "t", "options": options} | values)


def decision(told: Profile, keyword: str) -> Decision:
    return dict(decisions(told))[int(tag_for_keyword(keyword) or 0)]


def action(keyword: str, *options: Option) -> Action:
    return decision(profile(*options), keyword).action


@pytest.mark.parametrize(
    ("keyword", "option", "without", "with_it"),
    [
        ("StudyDate", Option.MODIFIED_DATES, Action.EMPTY, Action.SHIFT),
        ("StudyDate", Option.FULL_DATES, Action.EMPTY, Action.DATE),
        ("StudyTime", Option.FULL_DATES, Action.EMPTY, Action.TIME),
        ("FrameAcquisitionDateTime", Option.FULL_DATES, Action.DUMMY, Action.DATE),
        ("TimezoneOffsetFromUTC", Option.MODIFIED_DATES, Action.REMOVE, Action.REMOVE),
        ("TimezoneOffsetFromUTC", Option.FULL_DATES, Action.REMOVE, Action.KEEP),
        ("StationName", Option.DEVICE_IDENTITY, Action.BY_TYPE, Action.KEEP),
        ("DeviceSerialNumber", Option.DEVICE_IDENTITY, Action.BY_TYPE, Action.KEEP),
        ("InstitutionName", Option.INSTITUTION_IDENTITY, Action.BY_TYPE, Action.KEEP),
        ("SOPInstanceUID", Option.UIDS, Action.UID, Action.AS_IS),
        ("FrameOfReferenceUID", Option.UIDS, Action.UID, Action.AS_IS),
        ("DateOfLastCalibration", Option.DEVICE_IDENTITY, Action.REMOVE, Action.DATE),
        ("StudyDescription", Option.CLEAN_DESCRIPTORS, Action.UNLESS_REQUIRED, Action.CLEAN),
        ("CodeMeaning", Option.CLEAN_DESCRIPTORS, Action.CLEAN, Action.CLEAN),
        ("SegmentLabel", Option.CLEAN_DESCRIPTORS, Action.DUMMY, Action.CLEAN),
        ("AcquisitionProtocolName", Option.CLEAN_DESCRIPTORS, Action.DUMMY, Action.CLEAN),
        ("RequestedProcedureDescriptionTrial", Option.CLEAN_DESCRIPTORS, Action.DUMMY, Action.CLEAN),
        ("BolusID", Option.CLEAN_DESCRIPTORS, Action.DUMMY, Action.CLEAN),
        ("ContentLabel", Option.CLEAN_DESCRIPTORS, Action.DUMMY, Action.CLEAN),
        ("CodingSchemeResponsibleOrganization", Option.CLEAN_DESCRIPTORS, Action.DUMMY, Action.CLEAN),
        ("BoardingPassID", Option.CLEAN_DESCRIPTORS, Action.DUMMY, Action.DUMMY),
        ("ReasonForOmission", Option.CLEAN_DESCRIPTORS, Action.KEEP, Action.KEEP),
        ("PlacerOrderNumberProcedure", Option.CLEAN_DESCRIPTORS, Action.DUMMY, Action.DUMMY),
        ("ContentSequence", Option.CLEAN_STRUCTURED_CONTENT, Action.DUMMY, Action.ITEMS),
        ("GraphicAnnotationSequence", Option.CLEAN_GRAPHICS, Action.DUMMY, Action.ITEMS),
        ("UnformattedTextValue", Option.CLEAN_GRAPHICS, Action.DUMMY, Action.CLEAN),
        ("PatientAge", Option.PATIENT_CHARACTERISTICS, Action.REMOVE, Action.AGE),
        ("Allergies", Option.PATIENT_CHARACTERISTICS, Action.REMOVE, Action.CLEAN),
    ],
)
def test_an_option_changes_what_the_standard_says_it_changes(
    keyword: str, option: Option, without: Action, with_it: Action
) -> None:
    assert (action(keyword), action(keyword, option)) == (without, with_it)


def test_retaining_wins_over_cleaning_whatever_stands_first() -> None:
    for options in (
        (Option.CLEAN_DESCRIPTORS, Option.DEVICE_IDENTITY),
        (Option.DEVICE_IDENTITY, Option.CLEAN_DESCRIPTORS),
    ):
        assert action("DeviceDescription", *options) is Action.KEEP


def test_a_device_s_dates_are_shifted_with_the_others() -> None:
    assert action("DateOfLastCalibration", Option.DEVICE_IDENTITY, Option.MODIFIED_DATES) is Action.SHIFT


@pytest.mark.parametrize(
    ("keyword", "instead"),
    [
        ("ContextGroupVersion", Action.DUMMY),
        ("ContextGroupLocalVersion", Action.DUMMY),
        ("TemplateVersion", Action.REMOVE),
        ("DateOfManufacture", Action.REMOVE),
        ("DateOfInstallation", Action.REMOVE),
        ("EthicsCommitteeApprovalEffectivenessStartDate", Action.REMOVE),
    ],
)
def test_a_published_date_is_not_shifted_as_it_would_tell_the_shift(keyword: str, instead: Action) -> None:
    assert action(keyword, Option.MODIFIED_DATES) is instead
    assert action(keyword, Option.FULL_DATES) is Action.DATE


def test_the_narrowest_rule_wins() -> None:
    told = profile(
        rules=(
            {"action": "remove", "match": "VR SH"},
            {"action": "empty", "match": "0020,00xx"},
            {"action": "hash", "match": "StudyID"},
            {"action": "keep", "match": "RequestAttributesSequence/StudyID"},
        )
    )
    assert decision(told, "StudyID").action is Action.HASH
    assert decision(told, "AcquisitionNumber").action is Action.EMPTY
    assert decision(told, "StationName").action is Action.REMOVE
    assert plan(told).paths.below[0x00400275].tags[0x00200010].action is Action.AS_IS


def test_a_rule_says_so_in_the_decision() -> None:
    told = profile(rules=({"action": "replace", "match": "InstitutionName", "value": "Site A"},))
    assert decision(told, "InstitutionName") == Decision(Action.REPLACE, "rule replace InstitutionName", "Site A")


def test_no_body_keeps_what_the_pass_writes_or_nobody_can_read() -> None:
    keywords = ("PatientIdentityRemoved", "DeidentificationMethod", "EncryptedAttributesSequence")
    told = profile(native={"Keep": keywords})
    assert {decision(told, keyword).action for keyword in keywords} == {Action.REMOVE}


def test_private_lists_need_their_option() -> None:
    assert plan(profile()).lists == frozenset()
    assert not plan(profile()).keeps_private
    assert plan(profile(Option.SAFE_PRIVATE)).lists == {"standard", "converter"}
    rule = {"action": "keep", "match": '0019,"ACME",01'}
    assert plan(profile(rules=(rule,))).private.keys() == {("ACME", 0x0019, 0x01)}


def test_what_stays_by_request_is_not_searched_for() -> None:
    kept = plan(profile(Option.INSTITUTION_IDENTITY, rules=({"action": "keep", "match": "AccessionNumber"},))).kept
    assert {0x00080080, 0x00080050} <= kept
    assert 0x00100020 not in kept
    assert 0x0020000D in plan(profile(Option.UIDS)).kept
