"""The few attributes of an instance that the door decides by, read without loading numpy into Orthanc."""

import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

# What pydicom imports where it finds it; none is needed to read a header.
UNWANTED = ("numpy", "requests", "PIL", "gdcm", "pylibjpeg", "openjpeg", "libjpeg", "rle", "jpeg_ls", "tqdm")

MEDIA_STORAGE_SOP_CLASS_UID, TRANSFER_SYNTAX_UID = 0x00020002, 0x00020010
IMAGE_TYPE, SOP_CLASS_UID = 0x00080008, 0x00080016
IMPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
INFLATED_MOST = 2**20  # bytes; group 0008 is far smaller, and a deflated file may hold a bomb


class NotDicom(ValueError):
    """The bytes have no "DICM" after the preamble (PS3.10 7.1)."""


@dataclass(frozen=True)
class Header:
    """SOP classes that the instance claims (file meta and dataset) and the values of ImageType."""

    sop_classes: frozenset[str]
    image_type: tuple[str, ...]


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Let imports of these modules fail inside the block."""
    before = {name: sys.modules[name] for name in names if name in sys.modules}
    sys.modules.update(dict.fromkeys(names))  # type: ignore[arg-type]  # None is Python's own mark for "not there"
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]
        sys.modules.update(before)


def load_reader(site_packages: str) -> Callable[[bytes], Header]:
    """Import pydicom from `site_packages` and answer the function that reads a header.

    The folder is on sys.path only for that moment: Orthanc's Python shall not find anything else in it.
    """
    sys.path.insert(0, site_packages)
    try:
        with without(*UNWANTED):
            from pydicom.filereader import read_dataset
    finally:
        sys.path.remove(site_packages)
    return lambda dicom: read_header(dicom, read_dataset)


def load_small_pydicom() -> None:
    """Load pydicom without numpy and decoders into a process that never looks at pixels: 55 MB less."""
    with without(*UNWANTED):
        import pydicom  # noqa: F401  # for what it leaves in sys.modules


def read_header(dicom: bytes, read_dataset: Callable[..., Any]) -> Header:
    """Read file meta and group 0008; nothing behind it is looked at.

    Raises
    ------
    NotDicom
        The bytes are no DICOM file.
    Exception
        Whatever pydicom raises for a broken file.
    """
    if dicom[128:132] != b"DICM":
        raise NotDicom
    file = BytesIO(dicom)  # shares the memory of `dicom`
    file.seek(132)
    meta = read_dataset(file, is_implicit_VR=False, is_little_endian=True, stop_when=_after_file_meta)
    syntax = "".join(_values(meta, TRANSFER_SYNTAX_UID))
    if syntax == DEFLATED:
        file = BytesIO(zlib.decompressobj(-zlib.MAX_WBITS).decompress(file.read(), INFLATED_MOST))
    dataset = read_dataset(
        file,
        is_implicit_VR=syntax == IMPLICIT_LITTLE,
        is_little_endian=syntax != EXPLICIT_BIG,
        stop_when=_after_group_8,
        specific_tags=[IMAGE_TYPE, SOP_CLASS_UID],
    )
    sop_classes = {*_values(meta, MEDIA_STORAGE_SOP_CLASS_UID), *_values(dataset, SOP_CLASS_UID)}
    if not (syntax and sop_classes):
        raise ValueError("no transfer syntax or no SOP class")
    return Header(frozenset(sop_classes), _values(dataset, IMAGE_TYPE))


def _after_file_meta(tag: int, _vr: str | None, _length: int) -> bool:
    return tag >> 16 != 2  # noqa: PLR2004  # the group of the file meta information


def _after_group_8(tag: int, _vr: str | None, _length: int) -> bool:
    return tag >> 16 > 8  # noqa: PLR2004  # the group of what identifies the instance's kind


def _values(dataset: Any, tag: int) -> tuple[str, ...]:  # noqa: ANN401  # pydicom is loaded later
    """Split the raw bytes: no conversion, so no warning that shows a value, and a wrong VR does not matter."""
    if tag not in dataset:
        return ()
    value = dataset.get_item(tag).value
    text = value.decode("latin-1") if isinstance(value, bytes) else ""
    return tuple(part for word in text.split("\\") if (part := word.strip(" \0")))
