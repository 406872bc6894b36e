"""Why a DICOM node did not take something, in words: from a DIMSE status or from what Orthanc says of a failure."""

import re
from collections import Counter
from dataclasses import dataclass

from ...errors import DeidError, Rejected, Retriable

DUPLICATE = 0x0111
AWAY, INSTANCE, REFUSED = "away", "instance", "refused"
UNKNOWN = "for a reason that is not known"
REJECTION = "it rejects the association: AE titles or address are not known to it"


@dataclass(frozen=True)
class Refusal:
    """One reason; `about` says what it concerns.

    `away`: the node or the way to it, so nothing else will pass either; `instance`: one instance, others may pass;
    `refused`: the node is there and does not do what it was asked.
    """

    words: str
    about: str
    lasting: bool = False  # it can never work
    duplicate: bool = False  # the node has it already
    status: int | None = None  # of DIMSE, where it gave one


# First matching row; PS3.4 B.2.3 and PS3.7 Annex C.
STATUSES = (
    (0xFF00, 0xA700, "out of resources", False),
    (0xFF00, 0xA900, "the data set does not match its SOP class", True),
    (0xF000, 0xC000, "it cannot understand the instance", True),
    (0xFFFF, 0x0105, "no such attribute", True),
    (0xFFFF, 0x0106, "invalid attribute value", True),
    (0xFFFF, 0x0110, "processing failure", False),
    (0xFFFF, DUPLICATE, "it has the instance already", False),
    (0xFFFF, 0x0112, "no such instance", False),
    (0xFFFF, 0x0117, "invalid instance", True),
    (0xFFFF, 0x0119, "SOP class and instance do not agree", True),
    (0xFFFF, 0x0122, "SOP class not supported", True),
    (0xFFFF, 0x0124, "not authorised", False),
    (0xFFFF, 0x0213, "resource limitation", False),
)

# What stands in Orthanc's or DCMTK's words; those are never shown themselves. First matching row.
PHRASES = (
    (r"Association Rejected", REJECTION, AWAY, False),
    (r"Connection refused", "connection refused", AWAY, False),
    (r"unknown host", "its host name is not known", AWAY, False),
    (r"certificate verify failed", "its TLS certificate has expired, or nobody whom we trust signed it", AWAY, False),
    (
        r"local certificate",
        "DICOM TLS is not set up in orthanc.json: see DicomTlsCertificate",
        AWAY,
        False,
    ),
    (r"TLS|SSL", "the TLS connection failed: certificates or TLS settings do not match", AWAY, False),
    (r"[Tt]ime-?out|timed out|No data available", "no answer in time", AWAY, False),
    (r"Unrecognized PDU", "what listens there does not speak DICOM, or speaks it with TLS only", AWAY, False),
    (
        r"(?s)(connecting to AET|Request Failed).*[Aa]borted",
        "it hangs up at once: it may want TLS, or not ours",
        AWAY,
        False,
    ),
    (r"connecting to AET", "the association cannot be opened", AWAY, False),
    (r"[Aa]borted", "it aborted the association", AWAY, False),
    (r"not supported by the remote|cannot be handled", "it does not offer this service", REFUSED, False),
    (r"(?i)cannot transcode|presentation context", "SOP class or transfer syntax not supported", INSTANCE, True),
)


def of_status(status: int) -> Refusal:
    """Return what a DIMSE status other than success and warning means."""
    for mask, value, words, lasting in STATUSES:
        if status & mask == value:
            return Refusal(f"{words} (0x{status:04X})", INSTANCE, lasting, status == DUPLICATE, status)
    return Refusal(f"status 0x{status:04X}", INSTANCE, status=status)


def of_details(details: str) -> Refusal:
    """Return what Orthanc's or DCMTK's own words mean; only words of ours come out."""
    details = re.sub(r'"[^"]*"', "", details)  # AE titles, which may hold any word
    status = re.search(r"(?:DIMSE status |Status: |\()0x([0-9A-Fa-f]{4})", details)
    if status:
        return of_status(int(status[1], 16))
    for phrase, words, about, lasting in PHRASES:
        if re.search(phrase, details):
            return Refusal(words, about, lasting)
    return Refusal(UNKNOWN, REFUSED)


def verdict(refused: Counter[Refusal], total: int) -> DeidError | None:
    """Return the exception for the instances that were refused: to try again while one of them might pass."""
    if not refused:
        return None
    reasons = ", ".join(f"{count} {refusal.words}" for refusal, count in refused.most_common())
    message = f"the destination refused {refused.total()} of {total} instances: {reasons}"
    return Rejected(message) if all(refusal.lasting for refusal in refused) else Retriable(message)
