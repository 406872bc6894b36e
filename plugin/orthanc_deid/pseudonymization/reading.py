"""Reads attributes of a study's first instance, for sources of pseudonyms."""

from pydicom.datadict import tag_for_keyword

from ..orthanc_rest import Orthanc


class Reading:
    """Answers attributes of an instance in Orthanc; raises NotFound where it is gone.

    By keyword, or for a private attribute by group, element without its block, and creator.
    """

    def __init__(self, orthanc: Orthanc, instance: str) -> None:
        self.orthanc = orthanc  # which knows more of the patient
        self._tags = orthanc.tags(instance)

    def __call__(self, name: str) -> str:
        """Return the text of an attribute, '' where there is none."""
        tag = tag_for_keyword(name)
        key = f"{tag >> 16:04x},{tag & 0xFFFF:04x}" if tag is not None else name
        value = self._tags.get(key, {}).get("Value")
        return value.strip() if isinstance(value, str) else ""


of_orthanc = Reading
