"""What an answer means; its text is looked into by rule and never shown."""

import email.utils
import json
import re
import time
from typing import Any

from ...errors import ConfigurationError, DeidError, Rejected, Retriable
from ...settings.http import Rule
from .session import Answer

_LONGEST_WAIT_S = 86400.0
_REMOTE_CHARACTERS = 200
_LATER = frozenset((408, 425, 429))
_NEVER = frozenset((501, 505))
_ABSENT = object()


def refusal(answer: Answer) -> DeidError:
    """Answer what a code that is no success means: the code is all that is told."""
    code = answer.status
    if 300 <= code < 400:  # noqa: PLR2004  # RFC 9110 section 15.4
        return ConfigurationError(
            f"it redirects ({code}), and that is not followed: give the address that it moved to as url"
        )
    if code in (401, 403):
        return ConfigurationError(f"it refuses the log-in ({code})")
    if code == 507:  # noqa: PLR2004  # RFC 4918 section 11.5
        return Retriable("its storage is full (507)", after_s=retry_after_s(answer))
    if code in _LATER or (code >= 500 and code not in _NEVER):  # noqa: PLR2004  # RFC 9110 section 15.6
        return Retriable(f"it is away or overloaded ({code})", after_s=retry_after_s(answer))
    return Rejected(f"it refuses what is sent with code {code}")


def retry_after_s(answer: Answer) -> float:
    """Return what Retry-After says, seconds or a date (RFC 9110 section 10.2.3), at most a day; 0 without."""
    text = answer.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return min(float(text), _LONGEST_WAIT_S)
    try:
        at = email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(at - time.time(), 0.0), _LONGEST_WAIT_S)


def holds(answer: Answer, rule: Rule) -> bool:
    """Answer whether the answer's JSON obeys a rule; raise Rejected where it is none or too large."""
    found = _at(answer, rule.pointer)
    if found is _ABSENT:
        return False
    if rule.matches is not None and not (isinstance(found, str) and re.fullmatch(rule.matches, found)):
        return False
    return rule.equals is None or (found == rule.equals and isinstance(found, bool) == isinstance(rule.equals, bool))


def remote_id(answer: Answer, pointer: str) -> str:
    """Return the far side's own id.

    Raises
    ------
    Rejected
        It is not there, or no id: then nobody could ask after it.
    """
    found = _at(answer, pointer)
    if isinstance(found, int) and not isinstance(found, bool):
        found = str(found)
    if not isinstance(found, str) or not 1 <= len(found) <= _REMOTE_CHARACTERS or not found.isprintable():
        raise Rejected("the answer holds no id where send.remote points to")
    return found


def _at(answer: Answer, pointer: str) -> Any:  # noqa: ANN401  # a JSON value
    if not answer.whole:
        raise Rejected("the answer is larger than 1 MB: no rule can be applied to it")
    try:
        found: Any = json.loads(answer.content)
    except (ValueError, RecursionError):
        raise Rejected("the answer is not JSON: no rule can be applied to it") from None
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")  # RFC 6901 section 4
        if isinstance(found, dict) and key in found:
            found = found[key]
        elif isinstance(found, list) and re.fullmatch(r"0|[1-9][0-9]{0,8}", key) and int(key) < len(found):
            found = found[int(key)]
        else:
            return _ABSENT
    return found
