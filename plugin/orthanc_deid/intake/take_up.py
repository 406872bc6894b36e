"""Takes up into the crosswalk whom the door has de-identified on arrival."""

import logging
import sqlite3
from collections.abc import Callable, Collection, Iterable
from itertools import groupby

from sqlalchemy.exc import SQLAlchemyError

from .. import faults, log
from ..arrived import Arrived, Came, Note
from ..confidentiality.pseudonyms import Pseudonyms
from ..database.crosswalk import Crosswalk, Identity, Known, Mapped
from ..database.crosswalk_tables import ACCESSION, INSTANCE, SERIES, STUDY
from ..errors import DeidError

MOST = 1000  # notes in one look


def take_up(arrived: Arrived, crosswalk: Crosswalk) -> None:
    """Take up what the door wrote down; what cannot be stays there, is logged, and is tried again."""
    after = 0
    try:
        while notes := arrived.take(MOST, after):
            after = notes[-1].number
            for project, group in groupby(notes, lambda note: note.project):
                _take_up_project(project, list(group), arrived, crosswalk)
    except (OSError, sqlite3.Error, SQLAlchemyError) as error:
        log.event("arrived patients not taken up", level=logging.ERROR, error=faults.told(error))


def forget(arrived: Arrived, project: str, identities: Collection[str]) -> None:
    """Drop what the door wrote down of a patient, by `Identity.normal`, and could not be taken up."""
    after = 0
    while notes := arrived.take(MOST, after):
        after = notes[-1].number
        came, _ = _opened([note for note in notes if note.project == project], arrived)
        arrived.drop([note for note, each in came if _identity(each).normal in identities])
    arrived.tidy()


def _take_up_project(project: str, notes: list[Note], arrived: Arrived, crosswalk: Crosswalk) -> None:
    if crosswalk.keyring.is_sealed(project):
        arrived.drop(notes)
        return
    came, fault = _opened(notes, arrived)
    if fault:
        count = len(notes) - len(came)
        log.event("arrived patients not taken up", level=logging.ERROR, error=faults.told(fault), count=count)
    for _patient, each in groupby(came, lambda pair: _identity(pair[1]).normal):
        group = list(each)
        try:
            _take_up(project, [one for _, one in group], crosswalk)
        except DeidError as error:
            log.event("arrived patient not taken up", level=logging.ERROR, error=faults.told(error), count=len(group))
        else:
            arrived.drop([note for note, _ in group])


def _opened(notes: Iterable[Note], arrived: Arrived) -> tuple[list[tuple[Note, Came]], DeidError | None]:
    """Return what notes say, and why the last of those that do not open does not."""
    found, fault = [], None
    for note in notes:
        try:
            found.append((note, arrived.open(note)))
        except DeidError as error:
            fault = error
    return found, fault


def _take_up(project: str, came: list[Came], crosswalk: Crosswalk) -> None:
    """Note the instances of one patient."""
    identity = _identity(came[0])
    token = Pseudonyms(crosswalk.keyring.project(project)).token
    known = crosswalk.patient(project, identity) or crosswalk.assign(project, Known(0, identity, came[0].pseudonym))
    crosswalk.note(project, known, [mapped for each in came for mapped in _mapped(each, token)])


def _identity(came: Came) -> Identity:
    return Identity(came.issuer, came.patient_id)


def _mapped(came: Came, token: Callable[[str], str]) -> list[Mapped]:
    found = [Mapped(kind, *pair) for kind, pair in zip((STUDY, SERIES, INSTANCE), came.uids, strict=True)]
    return found + ([Mapped(ACCESSION, came.accession, token(came.accession))] if came.accession else [])
