"""What pydicom and its decoders raise on files that are broken or of a kind that they do not know."""

import struct

from pydicom.errors import BytesLengthException, InvalidDicomError

UNREADABLE = (
    AttributeError, EOFError, LookupError, NotImplementedError, OverflowError, RuntimeError, TypeError,
    ValueError, ZeroDivisionError, BytesLengthException, InvalidDicomError, struct.error,
)  # fmt: skip
