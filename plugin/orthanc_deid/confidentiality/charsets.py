"""Whether texts decode in the character sets that their dataset declares (PS3.3 C.12.1.1.2)."""

import warnings

from pydicom import Dataset
from pydicom.charset import decode_bytes, python_encoding
from pydicom.tag import BaseTag

Encodings = tuple[str, ...]  # Python's names
DEFAULT: Encodings = ("ascii",)
_TAG = BaseTag(0x00080005)
_ESCAPE = b"\x1b"
_DELIMITERS = set(b"\r\n\t\f\\^=")


def declared(ds: Dataset, inherited: Encodings) -> Encodings:
    """Answer the encodings of a dataset or item; a declaration that names an unknown set is deleted from it."""
    if _TAG not in ds:
        return inherited
    value = ds.get_item(_TAG).value
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    terms = text.split("\\") if isinstance(text, str) else list(text or ())
    names = [str(term).strip("\x00 ") for term in terms]
    if any(name not in python_encoding for name in names):
        del ds[_TAG]
        return DEFAULT
    encodings = tuple("ascii" if name in ("", "ISO_IR 6", "ISO 2022 IR 6") else python_encoding[name] for name in names)
    return encodings or DEFAULT


def decodes(value: bytes, encodings: Encodings) -> bool:
    """Tell whether every byte means something in the encodings."""
    try:
        if len(encodings) == 1:
            value.decode(encodings[0])
            return _ESCAPE not in value
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # pydicom warns where it has to guess
            return "\ufffd" not in decode_bytes(value, list(encodings), _DELIMITERS)
    except (ValueError, LookupError, UserWarning):
        return False


def ascii_only(value: bytes) -> bytes:
    """Put a question mark for each byte outside the default repertoire and for each escape."""
    return value.decode("ascii", "replace").replace("\ufffd", "?").replace("\x1b", "?").encode("ascii")


def encoded(text: str, encodings: Encodings) -> bytes:
    """Encode a text in the first of a dataset's encodings; a character it lacks becomes a question mark."""
    return text.encode(encodings[0], "replace")
