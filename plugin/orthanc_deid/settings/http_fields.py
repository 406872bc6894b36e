"""Fields in braces in the templates of the kind `http`: `/studies/{StudyInstanceUID}`; nothing is evaluated."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..formats import names

Level = names.Level

PICTURES = "{pictures}"  # as text: a list of base64 texts; as the only key: a list, one of its value for each picture
PICTURE_FIELDS = ("picture_base64", "picture_number")
_OURS = ("picture_count",)
_NOT_HERE = ("n",)  # made by rules that only file names have
_NUMBER_FORMAT = re.compile(r"(?:0?[1-9][0-9]?)?d")


def pieces(template: str) -> Iterator[names.Piece]:
    """Part a text into its pieces, as names are; `{{` and `}}` are braces themselves."""
    return names.pieces(template, _NUMBER_FORMAT, "; {{ and }} stand for braces")


def allowed(level: Level, more: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the fields that a text of that level can hold."""
    return tuple(f for f in names.FIELDS[level] if f not in _NOT_HERE) + _OURS + tuple(more)


def check(template: str, known: Sequence[str]) -> None:
    """Raise ValueError that names the first field which is not known."""
    for piece in pieces(template):
        if piece.field is not None and piece.field not in known:
            close = difflib.get_close_matches(piece.field, known, n=1, cutoff=0.5)
            hint = f" (did you mean {{{close[0]}}}?)" if close else f" (known: {', '.join(known)})"
            raise ValueError(f"there is no field {{{piece.field}}} here{hint}")


def check_json(template: Any, level: Level) -> None:  # noqa: ANN401  # a JSON structure
    """Raise ValueError where a text in a structure holds a field that it cannot have."""
    one = PICTURE_FIELDS if level == "instance" else ()
    for text, repeated in _texts(template, inside=False):
        check(text, allowed("instance", PICTURE_FIELDS) if repeated else allowed(level, one))


def check_values(template: Any, known: Sequence[str]) -> set[str]:  # noqa: ANN401  # a JSON structure
    """Return the fields that a structure without pictures names; raise ValueError for one that is not known."""
    if lists_pictures(template):
        raise ValueError(f"there is no field {PICTURES} here")
    texts = [text for text, _ in _texts(template, inside=False)]
    for text in texts:
        check(text, known)
    return {piece.field for text in texts for piece in pieces(text) if piece.field}


def lists_pictures(template: Any) -> bool:  # noqa: ANN401  # a JSON structure
    """Answer whether a structure holds a list of pictures."""
    if isinstance(template, Mapping):
        return PICTURES in template or any(lists_pictures(value) for value in template.values())
    if isinstance(template, list | tuple):
        return any(lists_pictures(value) for value in template)
    return bool(template == PICTURES)


def _texts(template: Any, *, inside: bool) -> Iterator[tuple[str, bool]]:  # noqa: ANN401  # a JSON structure
    """Yield each text of a structure, and whether it is repeated for each picture."""
    if isinstance(template, str):
        if template != PICTURES or inside:
            yield template, inside
    elif isinstance(template, Mapping):
        if PICTURES in template:
            if len(template) > 1 or inside:
                raise ValueError("{pictures} as a key stands alone, and not inside of another")
            yield from _texts(template[PICTURES], inside=True)
            return
        for key, value in template.items():
            if "{" in key:
                raise ValueError("a key holds no field, except {pictures} alone")
            yield from _texts(value, inside=inside)
    elif isinstance(template, list | tuple):
        for value in template:
            yield from _texts(value, inside=inside)
