"""Why a person asks who a pseudonym is: free text, which may hold an identity, so that it is kept encrypted alone.

It is encrypted with a key of the project that is asked: when that is sealed, reasons go with it. What concerns no
project, or ends one, is encrypted with the master key.
"""

import base64
import hmac
import json
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import ConfigurationError, Rejected
from ..keyring import Keyring
from ..sealed import Cipher

LEAST, MOST = 3, 500  # characters
_PART, _PARTS = 500, 3  # of a value of the audit
_CONTEXT = b"reason"
_LEAST_VALUE = 3  # characters; a shorter value is looked for as a word of its own
PROJECT, MASTER = "project", "master"


def demand(reason: str, values: Iterable[str] = ()) -> str:
    """Return a reason without outer blanks.

    Raises
    ------
    Rejected
        It is too short or too long, or names one of the values that are asked for.
    """
    reason = reason.strip()
    if not LEAST <= len(reason) <= MOST:
        raise Rejected(f"a reason of {LEAST} to {MOST} characters is needed")
    folded = reason.casefold()
    words = set(folded.split())
    for value in values:
        sought = value.strip().casefold()
        if sought in words or (len(sought) >= _LEAST_VALUE and sought in folded):
            raise Rejected("the reason names what is asked for: say it without, reasons are kept")
    return reason


def close(keyring: Keyring, reason: str, project: str | None) -> dict[str, Any]:
    """Return the details of an audit record that hold a reason; raise Rejected where it does not fit."""
    sealed = base64.b64encode(_cipher(keyring, project).close(reason, _CONTEXT)).decode()
    parts = [sealed[at : at + _PART] for at in range(0, len(sealed), _PART)]
    if len(parts) > _PARTS:
        raise Rejected("the reason is too long: letters beyond A to Z take more room than these")
    named = {f"reason_{number}": part for number, part in enumerate(parts, 1)}
    return named | {"reason_key": MASTER if project is None else PROJECT}


def open_reason(keyring: Keyring, detail: str, project: str | None) -> str | None:
    """Return the reason of an audit record, by its details; None where there is none, or the project is sealed."""
    told: Mapping[str, str] = json.loads(detail)
    sealed = "".join(str(told.get(f"reason_{number}", "")) for number in range(1, _PARTS + 1))
    of = None if told.get("reason_key") == MASTER else project
    if not sealed or (of is not None and not keyring.has(of)):
        return None
    try:
        return str(_cipher(keyring, of).open(base64.b64decode(sealed), _CONTEXT))
    except (ConfigurationError, ValueError):
        return None


def _cipher(keyring: Keyring, project: str | None) -> Cipher:
    key = keyring.master if project is None else keyring.project(project)
    return Cipher(hmac.digest(key, b"orthanc-deid\x00reason", "sha256"))
