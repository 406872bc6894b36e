"""What an answer's code means; its text is never shown."""

import email.utils
import re
import time

from ..errors import ConfigurationError, DeidError, Rejected, Retriable
from .session import Answer

_LONGEST_WAIT_S = 86400.0
_LATER = frozenset((408, 425, 429))
_NEVER = frozenset((501, 505))


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
