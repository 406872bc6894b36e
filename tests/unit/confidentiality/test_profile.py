import pytest
from pydantic import ValidationError

from orthanc_deid.confidentiality.options import IMPLEMENTED, Option
from orthanc_deid.confidentiality.profile import Native, Profile, tag_of


def profile(**values: object) -> Profile:
    return Profile.model_validate({"name": "p", "version": "1", "title": "t"} | values)


@pytest.mark.parametrize("option", sorted(set(Option) - IMPLEMENTED))
def test_an_option_that_is_not_implemented_says_so(option: Option) -> None:
    with pytest.raises(ValidationError, match=f"{option} is not implemented in this version"):
        profile(options=(str(option),))


def test_options_are_named_as_in_the_standard() -> None:
    assert profile(options=("Retain Patient Characteristics",)).has(Option.PATIENT_CHARACTERISTICS)


@pytest.mark.parametrize("values", [{"optoins": ()}, {"options": ("Keep All",)}, {"native": {"KeepPrivateTags": True}}])
def test_unknown_keys_and_options_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        profile(**values)


def test_the_digest_changes_with_anything_and_with_nothing_else() -> None:
    assert profile().digest == profile().digest
    others = [profile(version="2"), profile(options=(Option.MODIFIED_DATES,)), profile(native={"Keep": ("StudyID",)})]
    assert len({profile().digest, *(other.digest for other in others)}) == 4
    assert len(profile().digest) == 12


@pytest.mark.parametrize(
    "body",
    [
        {"Keep": ("PatientID",)},
        {"Replace": {"StudyInstanceUID": "1.2"}},
        {"Keep": ("FrameOfReferenceUID",)},
        {"Keep": ("StudyID",), "Remove": ("0020,0010",)},
        {"Keep": ("ReferencedImageSequence[0].PatientName",)},
        {"Keep": ("0009,1001",)},
        {"Replace": {"Rows": "1"}},
    ],
)
def test_a_native_body_that_would_break_identity_is_refused(body: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Native.model_validate(body)


def test_a_tag_is_named_by_keyword_or_number() -> None:
    assert tag_of("StudyID") == tag_of("0020,0010") == tag_of("0020-0010") == tag_of("00200010") == 0x00200010
