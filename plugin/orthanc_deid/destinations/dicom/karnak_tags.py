"""The private attributes by which Karnak and Kheops know pseudonym, album and day shift."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pydicom

from ...errors import Rejected
from ...settings.network import PSEUDONYM_FIELDS
from ..base import Receipt

GROUP, CREATOR = 0x000B, "CHUV_DEV_TML"
PSEUDONYM, ALBUM, DAY_SHIFT = 0x01, 0x02, 0x03
LONGEST = 64  # characters of LO, PS3.5 6.2
LARGE = 1 << 20  # bytes; larger elements are read only when they are written


def mark(source: Path, target: Path, pseudonym: str, album: str, day_shift: str) -> Receipt:
    """Write a copy of an instance that carries the private block, and return its size and hash.

    `pseudonym` is a template with PatientID and its like in braces; the source is not changed.

    Raises
    ------
    Rejected
        The pseudonym is empty or no LO value, or the file cannot be read or written; the message holds no value.
    """
    try:
        ds = pydicom.dcmread(source, defer_size=LARGE)
        value = pseudonym.format_map({field: str(ds.get(field, "")) for field in PSEUDONYM_FIELDS}).strip()
        _check(value)
        block = ds.private_block(GROUP, CREATOR, create=True)
        for element, text in ((PSEUDONYM, value), (ALBUM, album), (DAY_SHIFT, day_shift)):
            block.add_new(element, "LO", text)
        ds.save_as(target)
    except (pydicom.errors.InvalidDicomError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise Rejected(f"an instance cannot be given the private attributes ({type(error).__name__})") from None
    with target.open("rb") as file:
        return Receipt(target.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def _check(value: str) -> None:
    if not value:
        raise Rejected("the pseudonym is empty: the instance has none of the attributes that it is made of")
    if len(value) > LONGEST or "\\" in value or not (value.isascii() and value.isprintable()):
        raise Rejected(f"the pseudonym is no LO value: at most {LONGEST} printable ASCII characters and no backslash")


def combinations(files: Sequence[Path]) -> set[tuple[str, str]]:
    """Return the pairs of SOP class and transfer syntax of some files."""
    metas = [pydicom.filereader.read_file_meta_info(file) for file in files]
    return {(str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)) for meta in metas}
