"""Which studies reviewers have released: the reviews of django-dicom-review, as JSON or as CSV.

A study is taken where each of its reviews says has_phi false, relevant true and has_reconstruction false, none says
exclude, and the study is neither published nor in error. Reviews that contradict each other stop the whole list.
"""

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from ...pacs.base import Wanted
from . import sheet, values
from .table import Faults, Line, Table

_UIDS = ("original_study_uid", "study_uid")  # the first is the one under which the identified study is archived
_ANSWERS = ("has_phi", "relevant", "has_reconstruction")
_AGAINST = ("exclude", "image_published", "processing_error")
_FLAGS = (*_ANSWERS, *_AGAINST)
# What else reviews and studies of that application hold.
_OTHER = frozenset({
    "id", "study", "reviewer", "comment", "has_protocol_series", "accession_no", "study_date", "requested", "pub_date",
    "created", "modified", "high_risk_flag", "high_risk_message", "processing_error_date", "processing_error_msg",
    "number_of_series", "total_images", "modality", "sop_class", "encounter", "patient",
})  # fmt: skip
_RELEASED = {"has_phi": False, "relevant": True, "has_reconstruction": False}
_WORDS = {"true": True, "t": True, "1": True, "yes": True, "false": False, "f": False, "0": False, "no": False}
_NO_ANSWER = frozenset({"", "null", "none", "false", "f", "0", "no"})
_SLIP = 0.75  # how like a flag a name must be to be one with a slip in it

Answers = dict[str, bool | None]


@dataclass
class _Study:
    """The reviews of one study."""

    number: int  # of the first
    answers: Answers
    against: bool = False
    conflict: bool = False
    cells: Mapping[str, str] = field(default_factory=dict)


def select_reviewed(text: str | bytes) -> Table:
    """Return the studies that are released, a line each, in the order of their first review; never raises.

    A line's number is the line of a CSV, or the place in a JSON list, from 1. What is not released is left out.
    """
    faults = Faults()
    studies: dict[str, _Study] = {}
    try:
        reviews = _reviews(sheet.text_of(text))
    except ValueError as error:
        faults.add(1, "", str(error))
        reviews = []
    for number, review in reviews:
        _take(number, review, studies, faults)
    if not studies and not faults.told:
        faults.add(1, "", "there is no review")
    lines = tuple(_line(uid, study) for uid, study in studies.items() if _is_released(study))
    return Table(lines, faults.all(), ("StudyInstanceUID",))


def _reviews(text: str) -> Sequence[tuple[int, Any]]:
    """Return each review with its number.

    Raises
    ------
    ValueError
        The list as a whole cannot be read.
    """
    if text.lstrip()[:1] not in ("[", "{"):
        return list(_of_csv(text))
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("is no JSON: a list of objects, a review each") from None
    if not isinstance(found, list):
        raise ValueError("is no list of objects, a review each")  # noqa: TRY004  # of the file, not of a caller
    return list(enumerate(found, 1))


def _of_csv(text: str) -> Iterator[tuple[int, Any]]:
    rows = list(sheet.rows(text))
    if rows and (declared := sheet.declared(rows[0].text)):
        rows = rows[1:]
    else:
        declared = ""
    if not rows:
        return
    delimiter = declared or sheet.delimiter(rows[0].text, lambda name: name.lower() in (*_UIDS, *_FLAGS, *_OTHER))
    names = [name.lower() for name in sheet.cells(rows[0].text, delimiter)]
    if twice := {name for name in names if name in (*_UIDS, *_FLAGS) and names.count(name) > 1}:
        raise ValueError(f"the column {min(twice)} stands twice")
    for row in rows[1:]:
        try:
            yield row.number, _cells(row, names, delimiter)
        except ValueError as error:
            yield row.number, error


def _cells(row: sheet.Row, names: Sequence[str], delimiter: str) -> dict[str, str]:
    if fault := row.fault():
        raise ValueError(fault)
    cells = sheet.cells(row.text, delimiter)
    if any(cells[len(names) :]):
        raise ValueError(f"has more cells than the header has columns ({len(names)})")
    return dict(zip(names, cells + [""] * (len(names) - len(cells)), strict=False))


def _take(number: int, review: object, studies: dict[str, _Study], faults: Faults) -> None:
    """Add one review to its study, or its faults to the others."""
    if not isinstance(review, Mapping):
        faults.add(number, "", str(review) if isinstance(review, ValueError) else "is no object with names and values")
        return
    found = list(_faults(review))
    for column, message in found:
        faults.add(number, column, message)
    if found:
        return
    name, uid = _uid(review)
    answers: Answers = {flag: _flag(review[flag]) for flag in _ANSWERS}
    study = studies.setdefault(uid, _Study(number, answers, cells={"StudyInstanceUID": uid}))
    study.against = study.against or any(_is_set(review.get(flag)) for flag in _AGAINST)
    if study.answers != answers:
        study.conflict = True
        differ = ", ".join(flag for flag in _ANSWERS if study.answers[flag] != answers[flag])
        faults.add(number, name, f"contradicts review {study.number} of the same study in {differ}: settle it first")


def _faults(review: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with one review."""
    name, uid = _uid(review)
    try:
        values.uid(uid)
    except ValueError as error:
        number_only = not uid and "study" in review
        hint = "is missing: `study` is a number of the review database only" if number_only else str(error)
        yield name, hint if uid or number_only else "is missing"
    slips = {flag: _slip(review, flag) for flag in _FLAGS}
    for flag, slip in slips.items():
        if slip:
            yield flag, "is misspelt: another name stands for it"
        elif flag in _ANSWERS and flag not in review:
            yield flag, "is missing"
    for flag in (*_ANSWERS, "exclude", "image_published"):
        if flag in review:
            try:
                _flag(review[flag])
            except ValueError as error:
                yield flag, str(error)


def _slip(review: Mapping[Any, Any], flag: str) -> bool:
    """Tell whether a name that is not known is almost that of a flag: what it says would be missed."""
    if flag in review:
        return False
    unknown = tuple(str(name)[:64] for name in review if name not in _OTHER and name not in (*_UIDS, *_FLAGS))
    return bool(unknown) and _is_almost(flag, unknown)


@lru_cache(maxsize=1024)  # the names of one list are the same in each review
def _is_almost(flag: str, names: tuple[str, ...]) -> bool:
    return bool(difflib.get_close_matches(flag, names, n=1, cutoff=_SLIP))


def _uid(review: Mapping[Any, Any]) -> tuple[str, str]:
    for name in _UIDS:
        if isinstance(value := review.get(name), str) and value.strip():
            return name, value.strip()
    return _UIDS[0], ""


def _flag(value: object) -> bool | None:
    """Return what a reviewer has answered; None: nothing yet."""
    if value is None or isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in ("", "null", "none"):
        return None
    if word not in _WORDS:
        raise ValueError("is neither true nor false")
    return _WORDS[word]


def _is_set(value: object) -> bool:
    """Tell whether something stands against a study; a text that is not understood does."""
    return value is not None and str(value).strip().lower() not in _NO_ANSWER


def _is_released(study: _Study) -> bool:
    return study.answers == _RELEASED and not study.against and not study.conflict


def _line(uid: str, study: _Study) -> Line:
    return Line(study.number, Wanted("study", {"StudyInstanceUID": uid}), "", "", "", study.cells)


def uids(lines: Iterable[Line]) -> list[str]:
    """Return the StudyInstanceUIDs of released studies, as `studies_to_retrieve.txt` of the old pipeline holds them."""
    return [line.wanted.attributes["StudyInstanceUID"] for line in lines]
