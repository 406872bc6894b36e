import pytest
from pydantic import ValidationError

from orthanc_deid.confidentiality.profile import Native, Profile
from orthanc_deid.confidentiality.standard.options import IMPLEMENTED, Option


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
    others = [
        profile(version="2"),
        profile(options=(Option.MODIFIED_DATES,)),
        profile(native={"Keep": ("StudyID",)}),
        profile(rules=({"action": "keep", "match": "StudyID"},)),
        profile(refused="instance"),
    ]
    assert len({profile().digest, *(other.digest for other in others)}) == 6
    assert len(profile().digest) == 12


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"options": (Option.FULL_DATES, Option.MODIFIED_DATES)}, "either retained in full or modified"),
        ({"dates": {"keep_weekday": True}}, "dates has no effect without the option"),
        ({"private": {"lists": ("tcia",)}}, "private has no effect without the option Retain Safe Private"),
        ({"text": {"mode": "known"}}, "text has no effect without the option Clean Descriptors"),
        (
            {"rules": ({"action": "keep", "match": "StudyID"}, {"action": "remove", "match": "0020,0010"})},
            "one rule says keep, another remove",
        ),
        (
            {"rules": ({"action": "keep", "match": "StudyID"},), "native": {"Remove": ("StudyID",)}},
            "stands in rules and in native",
        ),
        ({"rules": ({"action": "keep", "match": "StudyInstanceUID"},)}, "kept by the option Retain UIDs"),
    ],
)
def test_a_contradiction_is_refused(values: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        profile(**values)


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


def test_what_a_profile_says_lies_over_what_it_is_based_on() -> None:
    base = profile(
        name="base",
        options=(Option.MODIFIED_DATES, Option.CLEAN_DESCRIPTORS),
        text={"mode": "known", "words": ("foo",)},
        rules=({"action": "keep", "match": "StudyID"}, {"action": "remove", "match": "Manufacturer"}),
    )
    ours = profile(
        based_on="base", text={"words": ("bar",)}, rules=({"action": "hash", "match": "0020,0010"},), documents="clean"
    ).over(base)
    assert ours.options == base.options
    assert (ours.text.mode, ours.text.words, ours.documents) == ("known", ("bar",), "clean")
    assert [(rule.action, rule.match) for rule in ours.rules] == [("remove", "Manufacturer"), ("hash", "0020,0010")]
    assert (ours.name, ours.based_on) == ("p", None)


def test_a_rule_for_one_of_several_attributes_leaves_the_others_to_the_base() -> None:
    base = profile(name="base", rules=({"action": "remove", "match": ("PatientSize", "0010,1030")},))
    ours = profile(based_on="base", rules=({"action": "keep", "match": "0010,1020"},)).over(base)
    assert [(rule.action, rule.match) for rule in ours.rules] == [("remove", ("0010,1030",)), ("keep", "0010,1020")]


def test_two_profiles_that_contradict_each_other_are_refused() -> None:
    base = profile(name="base", options=(Option.MODIFIED_DATES,), dates={"keep_weekday": True})
    with pytest.raises(ValidationError, match="dates has no effect"):
        profile(based_on="base", options=()).over(base)
