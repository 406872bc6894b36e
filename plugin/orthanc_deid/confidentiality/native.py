"""Compiles a profile into the body of Orthanc's own POST /instances/{id}/anonymize."""

from functools import lru_cache

from pydicom import Dataset

from ..errors import Rejected
from .plan import Node, plan
from .profile import Profile
from .standard import table
from .standard.attributes import IDENTITY, PIXEL_DATA

DICOM_VERSION = "2021b"  # the newest table that Orthanc 1.10.1 knows; the same one everywhere
_IDENTITY = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "PatientID", "PatientName")


def payload(  # noqa: PLR0913  # the five values that Orthanc is told
    profile: Profile, *, study_uid: str, series_uid: str, sop_uid: str, patient_id: str, patient_name: str
) -> dict[str, object]:
    """Make the JSON body; the five values are the project's own already.

    Native only removes: every attribute that the pass keeps, empties, maps or shifts is in Keep, so that the pass
    finds the original and both ways give the same dataset. The pixels, which neither changes, are removed, so that
    they need not come back; `with_pixels` takes them from the source. Tags are hexadecimal, as one unknown name
    fails the whole request.
    """
    identity = dict(zip(_IDENTITY, (study_uid, series_uid, sop_uid, patient_id, patient_name), strict=True))
    replace = {_hex(tag): value for tag, value in profile.native.replace().items()}
    return {
        "DicomVersion": DICOM_VERSION,
        "Force": True,
        "Keep": list(map(_hex, kept(profile))),
        "KeepPrivateTags": plan(profile).keeps_private,
        "Remove": [_hex(tag) for tag in sorted(profile.native.remove() | {PIXEL_DATA})],
        "Replace": identity | replace,
    }


def with_pixels(ds: Dataset, source: Dataset) -> Dataset:
    """Put the source's own Pixel Data into what /anonymize answered; in place.

    Raises
    ------
    Rejected
        The answer has another transfer syntax than the source.
    """
    if PIXEL_DATA not in source:
        return ds
    if ds.file_meta.TransferSyntaxUID != source.file_meta.TransferSyntaxUID:
        raise Rejected("Orthanc's /anonymize answered in another transfer syntax")
    ds[PIXEL_DATA] = source.get_item(PIXEL_DATA)
    return ds


@lru_cache(maxsize=16)
def kept(profile: Profile) -> tuple[int, ...]:
    """Answer the tags that native must leave to the pass."""
    found = plan(profile)
    wanted = found.tags.keys() | _in_paths(found.paths)
    stay = wanted & table.basic().keys() - IDENTITY - profile.native.replace().keys()
    return tuple(sorted(stay))


def _in_paths(node: Node) -> set[int]:
    """Answer every tag that a path names: what it says of items, native must not decide for all."""
    return {*node.tags, *node.below}.union(*map(_in_paths, node.below.values()))


def _hex(tag: int) -> str:
    return f"{tag >> 16:04x},{tag & 0xFFFF:04x}"
