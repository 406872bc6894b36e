"""Which studies in Orthanc are not processed yet: the whole archive is walked, a page at a time."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .. import states
from ..database import marks
from ..errors import NotFound
from .belonging import Belonging
from .examine import Intake
from .patient_lists import Undecided

PAGE = 500  # studies that are asked for at once
BACK = 250  # studies before a place that are read again, since deletions move all that follow
SECONDS = 10.0  # after which an answer is given with what was found until then
OPEN = (states.RECEIVED, states.WAITING)


@dataclass(frozen=True)
class Place:
    """How far the walk is: the number of studies before it in Orthanc's list, and the last of them."""

    offset: int = 0
    last: str = ""

    @classmethod
    def of(cls, cursor: str | None) -> "Place":
        """Read what `str` has written."""
        offset, _, last = (cursor or "0").partition("-")
        return cls(int(offset), last)

    def __str__(self) -> str:
        """Return it as a cursor."""
        return f"{self.offset}-{self.last}" if self.last else str(self.offset)


@dataclass(frozen=True)
class Wanted:
    """`since`: as Orthanc's LastUpdate has it, 20261121T080000 in UTC. Empty: whenever, of every project."""

    since: str = ""
    project: str = ""


@dataclass(frozen=True)
class Unprocessed:
    """One study; `status` and `project` are None and empty where it is not in the ledger."""

    source: str
    status: str | None
    project: str
    last_update: str


def look(intake: Intake, wanted: Wanted, place: Place, limit: int) -> tuple[list[Unprocessed], Place | None]:
    """Return at most `limit` studies from a place on, and where to go on; None: that was all.

    What another process deletes meanwhile moves the list; then some studies may be told twice, and none is left out
    unless more than BACK were deleted between two pages.
    """
    end = time.monotonic() + SECONDS
    found: list[Unprocessed] = []
    for begin, page in _pages(intake, place):
        for number, study in enumerate(_judged(intake, wanted, page), 1):
            if study is not None:
                found.append(study)
                if len(found) == limit:
                    return found, Place(begin + number, page[number - 1]["ID"])
        if page and time.monotonic() > end:
            return found, Place(begin + len(page), page[-1]["ID"])
    return found, None


def _pages(intake: Intake, place: Place) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Yield pages of studies, each with the number of its first; the first page begins after what was seen."""
    start = max(0, place.offset - BACK)
    page = intake.orthanc.study_page(start, PAGE)
    is_whole = len(page) == PAGE
    seen = next((n for n, study in enumerate(page, 1) if study["ID"] == place.last), 0)
    yield start + seen, page[seen:]
    while is_whole:
        start += len(page)
        page = intake.orthanc.study_page(start, PAGE)
        is_whole = len(page) == PAGE
        yield start, page


def _judged(intake: Intake, wanted: Wanted, page: list[dict[str, Any]]) -> Iterator[Unprocessed | None]:
    """Yield one word on each study of a page: None where it is processed or not wanted."""
    known = marks.known(intake.ledger.engine, [study["ID"] for study in page])
    for study in page:
        source, last_update = str(study["ID"]), str(study["LastUpdate"])
        open_ = [] if source in known.outputs or last_update < wanted.since else _open(known, source)
        of = next((row for row in open_ if _is_of(intake, wanted.project, source, *row)), None)
        yield Unprocessed(source, *of, last_update) if of else None


def _open(known: marks.Known, source: str) -> list[tuple[str | None, str]]:
    """Return state and project of what of a study has not begun, in its first project before others."""
    rows = [known.rows.get(source, (None, "")), *known.further.get(source, ())]
    return [row for row in rows if row[0] in (None, *OPEN)]


def _is_of(intake: Intake, wanted: str, source: str, status: str | None, project: str) -> bool:
    if not wanted or status is not None:
        return wanted in ("", project)
    try:
        series = intake.orthanc.series(source)
        would = Belonging(intake.configuration, intake.orthanc, intake.origins, intake.lists, source, series).project()
    except (NotFound, Undecided):
        return False  # deleted at this moment, or nobody can tell
    return would is not None and would.name == wanted
