"""JSON pointers (RFC 6901)."""

import re
from typing import Any

ABSENT = object()


def at(document: Any, pointer: str) -> Any:  # noqa: ANN401  # a JSON value
    """Return what a pointer leads to in a JSON document; ABSENT where that is nothing."""
    found = document
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")  # RFC 6901 section 4
        if isinstance(found, dict) and key in found:
            found = found[key]
        elif isinstance(found, list) and re.fullmatch(r"0|[1-9][0-9]{0,8}", key) and int(key) < len(found):
            found = found[int(key)]
        else:
            return ABSENT
    return found


def escaped(key: str) -> str:
    """Return a key as it stands in a pointer."""
    return key.replace("~", "~0").replace("/", "~1")
