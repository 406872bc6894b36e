"""Reads attributes of a study's first instance, for sources of pseudonyms."""

from collections.abc import Callable

from pydicom.datadict import tag_for_keyword

from ..orthanc_rest import Orthanc


def of_orthanc(orthanc: Orthanc, instance: str) -> Callable[[str], str]:
    """Answer what reads an instance in Orthanc; raise NotFound where it is gone.

    By keyword, or for a private attribute by group, element without its block, and creator.
    """
    tags = orthanc.tags(instance)

    def read(name: str) -> str:
        tag = tag_for_keyword(name)
        key = f"{tag >> 16:04x},{tag & 0xFFFF:04x}" if tag is not None else name
        value = tags.get(key, {}).get("Value")
        return value.strip() if isinstance(value, str) else ""

    return read
