"""What an answer means; its text is looked into by rule and never shown."""

import json
import re
from typing import Any

from ...errors import Rejected
from ...settings.http import Rule
from ...web.pointer import ABSENT, at
from ...web.session import Answer

_REMOTE_CHARACTERS = 200


def holds(answer: Answer, rule: Rule) -> bool:
    """Answer whether the answer's JSON obeys a rule; raise Rejected where it is none or too large."""
    found = _at(answer, rule.pointer)
    if found is ABSENT:
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
    return at(found, pointer)
