"""Filling texts that have fields in braces; nothing is evaluated."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from ..settings.http_fields import pieces

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")


def fill(template: str, values: Mapping[str, str], *, quoted: str | None = None) -> str:
    """Put values into a text; `quoted` names what is not percent-encoded in them."""
    text = ""
    for piece in pieces(template):
        text += piece.literal
        if piece.field is not None:
            value = values.get(piece.field, "")
            if piece.number_format and _INTEGER.fullmatch(value):
                value = format(int(value), piece.number_format)
            text += value if quoted is None else quote(value, safe=quoted)
    return text


def value(template: str, values: Mapping[str, str]) -> Any:  # noqa: ANN401  # JSON
    """Return a text, or a number where the whole template is `{field:d}`; null where that is none."""
    parts = list(pieces(template))
    if len(parts) == 1 and parts[0].field and parts[0].number_format == "d" and not parts[0].literal:
        text = values.get(parts[0].field, "")
        return int(text) if _INTEGER.fullmatch(text) else None
    return fill(template, values)


def filled(template: Any, values: Mapping[str, str]) -> Any:  # noqa: ANN401  # JSON
    """Return a JSON structure with every text in it filled."""
    if isinstance(template, str):
        return value(template, values)
    if isinstance(template, Mapping):
        return {key: filled(each, values) for key, each in template.items()}
    return [filled(each, values) for each in template] if isinstance(template, list | tuple) else template
