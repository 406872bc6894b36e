"""The template language of file and key names: `{PatientID}/{SeriesNumber:05d}-{SeriesDescription}.zip`.

Nothing is evaluated: a field is one of the names below, with a number format like `:05d` or without.
"""

import difflib
import hashlib
import re
from collections.abc import Iterator, Mapping
from string import Formatter
from typing import Literal, NamedTuple

Level = Literal["study", "series", "instance"]

_STUDY = (
    "project", "PatientID", "PatientName", "StudyInstanceUID", "StudyDate", "StudyTime", "StudyDescription",
    "StudyID", "AccessionNumber", "subject", "session", "n",
)  # fmt: skip
_SERIES = (
    "Modality", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "SeriesDate", "ProtocolName",
    "BodyPartExamined",
)  # fmt: skip
_INSTANCE = ("SOPInstanceUID", "InstanceNumber", "AcquisitionNumber")
FIELDS: dict[Level, tuple[str, ...]] = {
    "study": _STUDY,
    "series": _STUDY + _SERIES,
    "instance": _STUDY + _SERIES + _INSTANCE,
}

LONGEST = 100  # characters of a part: with a suffix of a destination's own it still fits every file system
_OTHER = re.compile(r"[^A-Za-z0-9._-]+")
_NUMBER_FORMAT = re.compile(r"0?[1-9][0-9]?d")
_NUMBER = re.compile(r"[+-]?[0-9]{1,12}")


class Piece(NamedTuple):
    """Literal text, and the field that follows it; None at the end."""

    literal: str
    field: str | None
    number_format: str


def check(template: str, level: Level) -> None:
    """Raise ValueError that names the field which is unknown at that level, or what else cannot be a path."""
    for piece in _pieces(template):
        if piece.field is not None and piece.field not in FIELDS[level]:
            raise ValueError(f"there is no field {{{piece.field}}} for a {level}{_nearest(piece.field, level)}")
    literal = "".join(piece.literal + ("x" if piece.field else "") for piece in _pieces(template))
    if any(part.strip() in {"", ".", ".."} for part in literal.split("/")):
        raise ValueError("no part of a name may be empty, `.` or `..`, and none begins or ends with /")


def fill(template: str, values: Mapping[str, str]) -> str:
    """Return a relative path with `/`; each part holds only A-Z, a-z, 0-9, `.`, `_`, `-`, at most 100 of them.

    Every run of anything else becomes `_`; an empty or missing value becomes `none`. A part that is too long ends in
    a hash of what it was, so that two of them stay two.
    """
    parts: list[str] = [""]
    tail = ""  # literal text behind the last field of the part: a file's suffix
    tails: list[str] = []
    for piece in _pieces(template):
        first, *more = piece.literal.split("/")
        parts[-1] += first
        tail += first
        for each in more:
            tails.append(tail)
            parts.append(each)
            tail = each
        if piece.field is not None:
            if piece.field not in FIELDS["instance"]:
                raise ValueError(f"there is no field {{{piece.field}}}{_nearest(piece.field, 'instance')}")
            parts[-1] += _value(values.get(piece.field, ""), piece.number_format)
            tail = ""
    tails.append(tail)
    return "/".join(_part(part, tail) for part, tail in zip(parts, tails, strict=True))


def part(text: str) -> str:
    """Return text as one part of a path, by the rules of `fill`."""
    return _part(_value(text, ""), "")


def _pieces(template: str) -> Iterator[Piece]:
    if "{{" in template or "}}" in template:
        raise ValueError("a name has no braces but those around a field")
    yield from pieces(template, _NUMBER_FORMAT)


def pieces(template: str, number_formats: re.Pattern[str], hint: str = "") -> Iterator[Piece]:
    """Part a text into its pieces; `{{` and `}}` are braces themselves, `hint` follows what is said of wrong ones.

    Raises
    ------
    ValueError
        A brace is not closed, or a field has something else than a number format.
    """
    try:
        parsed = list(Formatter().parse(template))
    except ValueError:
        raise ValueError(f"a brace is not closed, or not opened{hint}") from None
    for literal, field, number_format, conversion in parsed:
        if conversion or (number_format and not number_formats.fullmatch(number_format)):
            raise ValueError(f"{{{field}}} can have a number format like :05d and nothing else")
        yield Piece(literal, field, number_format or "")


def _value(value: str, number_format: str) -> str:
    value = value.strip()
    if number_format and _NUMBER.fullmatch(value):
        value = format(int(value), number_format)
    return _OTHER.sub("_", value) or "none"


def _part(text: str, tail: str) -> str:
    clean = _OTHER.sub("_", text) or "none"
    if clean.startswith("."):  # neither `..` nor a hidden file
        clean = "_" + clean.lstrip(".")
    if len(clean) <= LONGEST:
        return clean
    suffix = _OTHER.sub("_", tail)[-20:]
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{clean[: LONGEST - len(suffix) - 13]}-{digest}{suffix}"


def _nearest(field: str, level: Level) -> str:
    close = difflib.get_close_matches(field, FIELDS[level], n=1, cutoff=0.5)
    return f" (did you mean {{{close[0]}}}?)" if close else f" (known: {', '.join(FIELDS[level])})"
