"""Why a DICOM node rejects an association: Orthanc does not tell, so it is asked for once more (PS3.8 section 9.3)."""

import socket
import struct

from ..settings.network import DicomNode

VERIFICATION, IMPLICIT, CONTEXT = "1.2.840.10008.1.1", "1.2.840.10008.1.2", "1.2.840.10008.3.1.1.1"
IMPLEMENTATION = "1.2.826.0.1.3680043.10.1337.42"
REJECTED = 3  # A-ASSOCIATE-RJ
ABORT = struct.pack(">BBLBBBB", 7, 0, 4, 0, 0, 0, 0)
# Source and reason of PS3.8 Table 9-21 that last until a person acts.
LASTING = {
    (1, 3): "it does not know our AE title: enter it there, or set local_ae to the one that it knows",
    (1, 7): "it has another AE title than ae says",
}


def lasting_rejection(node: DicomNode, calling: str) -> str | None:
    """Return why the node rejects us for good, in our words; None where it does not, or cannot be asked so."""
    if node.tls:
        return None
    try:
        with socket.create_connection((node.host, node.port), min(10, node.timeout_s)) as line:
            line.sendall(_request(calling, node.ae))
            answer = line.recv(10)
            line.sendall(ABORT)
    except OSError:
        return None
    if len(answer) < 10 or answer[0] != REJECTED:  # noqa: PLR2004  # bytes of A-ASSOCIATE-RJ
        return None
    return LASTING.get((answer[8], answer[9]))


def _request(calling: str, called: str) -> bytes:
    """Return an A-ASSOCIATE-RQ for C-ECHO (PS3.8 Table 9-11)."""
    context = struct.pack(">BBBB", 1, 0, 0, 0) + _item(0x30, VERIFICATION) + _item(0x40, IMPLICIT)
    user = struct.pack(">BBHL", 0x51, 0, 4, 16384) + _item(0x52, IMPLEMENTATION)
    body = struct.pack(">HH16s16s32x", 1, 0, _title(called), _title(calling))
    body += _item(0x10, CONTEXT) + _item(0x20, context) + _item(0x50, user)
    return struct.pack(">BBL", 1, 0, len(body)) + body


def _item(kind: int, content: str | bytes) -> bytes:
    data = content.encode("ascii") if isinstance(content, str) else content
    return struct.pack(">BBH", kind, 0, len(data)) + data


def _title(ae: str) -> bytes:
    return ae.encode("ascii").ljust(16)
