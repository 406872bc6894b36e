"""The options of PS3.15 Table E.3-1 under the standard's names, with their codes of CID 7050."""

from enum import StrEnum


class Option(StrEnum):
    """An option on top of the Basic Application Level Confidentiality Profile."""

    CLEAN_PIXEL_DATA = "Clean Pixel Data"
    CLEAN_VISUAL_FEATURES = "Clean Recognizable Visual Features"
    CLEAN_GRAPHICS = "Clean Graphics"
    CLEAN_STRUCTURED_CONTENT = "Clean Structured Content"
    CLEAN_DESCRIPTORS = "Clean Descriptors"
    FULL_DATES = "Retain Longitudinal Temporal Information Full Dates"
    MODIFIED_DATES = "Retain Longitudinal Temporal Information Modified Dates"
    PATIENT_CHARACTERISTICS = "Retain Patient Characteristics"
    DEVICE_IDENTITY = "Retain Device Identity"
    UIDS = "Retain UIDs"
    SAFE_PRIVATE = "Retain Safe Private"
    INSTITUTION_IDENTITY = "Retain Institution Identity"


BASIC_CODE = ("113100", "Basic Application Confidentiality Profile")

CODES = {
    Option.CLEAN_PIXEL_DATA: "113101",
    Option.CLEAN_VISUAL_FEATURES: "113102",
    Option.CLEAN_GRAPHICS: "113103",
    Option.CLEAN_STRUCTURED_CONTENT: "113104",
    Option.CLEAN_DESCRIPTORS: "113105",
    Option.FULL_DATES: "113106",
    Option.MODIFIED_DATES: "113107",
    Option.PATIENT_CHARACTERISTICS: "113108",
    Option.DEVICE_IDENTITY: "113109",
    Option.UIDS: "113110",
    Option.SAFE_PRIVATE: "113111",
    Option.INSTITUTION_IDENTITY: "113112",
}

IMPLEMENTED = frozenset(Option) - {Option.CLEAN_PIXEL_DATA, Option.CLEAN_VISUAL_FEATURES}


def code(option: Option) -> tuple[str, str]:
    """Answer an option's code value and meaning in CID 7050."""
    return CODES[option], f"{option} Option"
