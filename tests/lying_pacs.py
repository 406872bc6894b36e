"""A PACS in this process that answers C-FIND, C-MOVE and C-GET from a set of datasets, and lies as it is told."""

import fnmatch
import io
import socket
import socketserver
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from unittest.mock import patch

import pydicom
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, _config, evt
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at import
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)
from pynetdicom.transport import AssociationSocket

from dicom_servers import listening
from servers import free_port

_config.LOG_REQUEST_IDENTIFIERS = False
_config.LOG_RESPONSE_IDENTIFIERS = False

UIDS = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}
LEVELS = tuple(UIDS)
COUNTS = ("NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances", "NumberOfSeriesRelatedInstances")
SUCCESS, PENDING, UNKNOWN_TARGET, NOT_UNDERSTOOD = 0x0000, 0xFF00, 0xA801, 0xA900
Answers = Iterator[tuple[int, Dataset | None]]


@dataclass
class Lies:
    """How the PACS misbehaves; can be changed while it runs."""

    missing: int = 0  # instances at the end of each C-MOVE that are not sent, though success is told
    withheld: frozenset[str] = frozenset()  # SOPInstanceUIDs that are never sent, though success is told
    count_off: int = 0  # added to NumberOfStudyRelatedInstances
    counts: str = "true"  # "absent" (of every number), "empty"
    images: bool = True  # answers C-FIND at IMAGE level
    relational: bool = False  # answers below the study without its UID
    finds: int = SUCCESS  # status that every C-FIND is refused with
    moves: int = SUCCESS  # status that every C-MOVE is refused with
    delay_s: float = 0  # before each answer of C-FIND
    pause_s: float = 0  # before each instance of C-MOVE
    abort_find: int | None = None  # answers after which it aborts
    abort_move: int | None = None  # instances after which it aborts
    associations: int | None = None  # associations in all, after which it refuses every further one
    instances: int | None = None  # instances in all, after which each C-MOVE ends with 0xA702
    answers: int | None = None  # most answers to one C-FIND
    duplicates: bool = False  # each answer of C-FIND twice
    twice: bool = False  # each instance of C-MOVE twice
    strangers: bool = False  # a C-MOVE sends an instance of another study as well
    knows_caller: bool = True
    padded: bool = False  # UIDs in answers end in blanks
    no_filters: bool = False  # keys other than UIDs are ignored
    silent: frozenset[str] = frozenset()  # keywords that it does not answer and not match by
    charset: bool = True  # tells SpecificCharacterSet


@dataclass(frozen=True)
class Asked:
    """One C-FIND, C-MOVE or C-GET, as it was asked."""

    level: str
    keys: Mapping[str, str]  # by keyword, as it stood in the identifier; lists with a backslash
    target: str = ""  # AE title; C-MOVE only


class _Entity(AE):
    """An application entity that can be full; the setter of its base wants room for one at least."""

    full = False

    @property
    def maximum_associations(self) -> int:
        """How many associations it takes."""
        return 0 if self.full else 100

    @maximum_associations.setter
    def maximum_associations(self, value: int) -> None:
        """Leave it to `full`."""


@dataclass
class LyingPacs:
    """A PACS that holds `datasets`; use it as context manager.

    `known` are the AE titles that it moves to, with host and port; `finds`, `moves` and `gets` what it was asked.
    """

    datasets: Iterable[Dataset | bytes] = ()
    ae: str = "PACS"
    lies: Lies = field(default_factory=Lies)
    known: dict[str, tuple[str, int]] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    finds: list[Asked] = field(default_factory=list)
    moves: list[Asked] = field(default_factory=list)
    gets: list[Asked] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)  # SOPInstanceUIDs in the order in which they were sent
    callers: list[str] = field(default_factory=list)  # AE titles, one for each association
    held: list[Dataset] = field(default_factory=list)
    _server: Any = None
    _of_study: dict[str, list[Dataset]] = field(default_factory=dict)
    _restore: Any = None
    _sockets: list[socket.socket] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.add(*self.datasets)

    def add(self, *datasets: Dataset | bytes) -> None:
        """Let it hold more."""
        for each in datasets:
            ds = pydicom.dcmread(io.BytesIO(each)) if isinstance(each, bytes) else each
            self.held.append(ds)
            self._of_study.setdefault(str(ds.StudyInstanceUID), []).append(ds)

    def _near(self, query: Dataset) -> list[Dataset]:
        """Return what can match: of an archive with thousands of studies those of one that is named."""
        named = str(query.get("StudyInstanceUID") or "").strip(" \0")
        return self._of_study.get(named, []) if set(named) - set(".0123456789") == set() and named else self.held

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Listen."""
        self._record()
        ae = _Entity(self.ae)
        syntaxes = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
        for uid in (
            Verification,
            StudyRootQueryRetrieveInformationModelFind,
            StudyRootQueryRetrieveInformationModelMove,
            StudyRootQueryRetrieveInformationModelGet,
        ):
            ae.add_supported_context(uid, syntaxes)
        for uid in {str(ds.SOPClassUID) for ds in self.held}:  # C-GET: it is SCU of these
            ae.add_supported_context(uid, scu_role=True, scp_role=True)
        handlers: list[Any] = [
            (evt.EVT_REQUESTED, self._requested),
            (evt.EVT_C_FIND, self._find),
            (evt.EVT_C_MOVE, self._move),
            (evt.EVT_C_GET, self._get),
        ]
        self._server = listening(ae, self.port, handlers)

    def stop(self) -> None:
        """End the server, once what is under way has ended."""
        if self._server:
            socketserver.BaseServer.shutdown(self._server)
            end = time.monotonic() + 10
            while self._server.active_associations and time.monotonic() < end:
                time.sleep(0.02)
            self._server.server_close()
            self._server = None
            self._restore.stop()
        for each in self._sockets:
            each.close()

    def _record(self) -> None:
        """Remember the sockets of C-MOVE: pynetdicom leaves those open whose other end dies at once."""
        original = AssociationSocket._create_socket  # noqa: SLF001  # nothing else makes them

        def create(made_by: AssociationSocket, address: Any) -> socket.socket:  # noqa: ANN401  # pynetdicom's own
            made = original(made_by, address)
            self._sockets.append(made)
            return made

        self._restore = patch.object(AssociationSocket, "_create_socket", create)
        self._restore.start()

    def _requested(self, event: Any) -> None:  # noqa: ANN401  # pynetdicom's event has no type
        """Decide before the association is negotiated whether its caller is known and welcome."""
        asked = event.assoc.requestor.primitive
        self.callers.append(str(asked.calling_ae_title).strip())
        full = self.lies.associations is not None and len(self.callers) > self.lies.associations
        event.assoc.ae.full = full
        event.assoc.ae.require_calling_aet = [] if self.lies.knows_caller else ["NOBODY"]

    def _find(self, event: Any) -> Answers:  # noqa: ANN401  # pynetdicom's event has no type
        query: Dataset = event.identifier
        level = str(query.QueryRetrieveLevel)
        self.finds.append(_asked(query))
        status = self.lies.finds or (SUCCESS if self._takes(query, level) else NOT_UNDERSTOOD)
        if status:
            yield status, None
            return
        for number, answer in enumerate(self._answers(query, level)):
            time.sleep(self.lies.delay_s)
            if number == self.lies.abort_find:
                event.assoc.abort()
                return
            yield PENDING, answer

    def _takes(self, query: Dataset, level: str) -> bool:
        """Answer whether a query has the UIDs of the levels above its own (PS3.4 C.4.1.2.1)."""
        if level == "IMAGE" and not self.lies.images:
            return False
        above = [UIDS[each] for each in LEVELS[: LEVELS.index(level)]]
        return self.lies.relational or all(str(query.get(keyword) or "") for keyword in above)

    def _answers(self, query: Dataset, level: str) -> Iterator[Dataset]:
        found: dict[str, list[Dataset]] = {}
        for ds in self._near(query):
            if self._is_wanted(query, ds):
                found.setdefault(str(ds[UIDS[level]].value), []).append(ds)
        for same in list(found.values())[: self.lies.answers]:
            for _ in range(2 if self.lies.duplicates else 1):
                yield self._answer(query, level, same[0])

    def _is_wanted(self, query: Dataset, ds: Dataset) -> bool:
        heeded = [elem for elem in query if elem.keyword in UIDS.values() or self._heeds(elem)]
        return all(_matches(elem, self._values(ds, elem.keyword)) for elem in heeded)

    def _heeds(self, elem: DataElement) -> bool:
        # Orthanc puts MediaStorageSOPInstanceUID into questions at IMAGE level.
        passed_over = (*COUNTS, "QueryRetrieveLevel", "SpecificCharacterSet", *self.lies.silent)
        return not self.lies.no_filters and elem.tag.group > 2 and elem.keyword not in passed_over  # file meta

    def _values(self, ds: Dataset, keyword: str) -> list[str]:
        if keyword == "ModalitiesInStudy":
            same = self._of_study[str(ds.StudyInstanceUID)]
            return sorted({str(d.get("Modality", "")) for d in same})
        value = ds.get(keyword)
        return [str(each) for each in value] if isinstance(value, list | pydicom.multival.MultiValue) else [str(value)]

    def _answer(self, query: Dataset, level: str, ds: Dataset) -> Dataset:
        answer = Dataset()
        if "SpecificCharacterSet" in ds and self.lies.charset:
            answer.SpecificCharacterSet = ds.SpecificCharacterSet
        answer.QueryRetrieveLevel = level
        for elem in query:
            keyword = elem.keyword
            if keyword in COUNTS:
                self._count(answer, keyword, ds)
            elif keyword == "ModalitiesInStudy" and keyword not in self.lies.silent:
                answer.ModalitiesInStudy = self._values(ds, keyword)
            elif keyword in ds and keyword not in ("SpecificCharacterSet", *self.lies.silent):
                answer[keyword] = ds[keyword]
        for keyword in UIDS.values() if self.lies.padded else ():
            if keyword in answer:
                answer[keyword] = DataElement(Tag(keyword), "UI", str(answer[keyword].value) + "  ", validation_mode=0)
        return answer

    def _count(self, answer: Dataset, keyword: str, ds: Dataset) -> None:
        if self.lies.counts == "absent":
            return
        same = self._of_study[str(ds.StudyInstanceUID)]
        series = [d for d in same if d.SeriesInstanceUID == ds.SeriesInstanceUID]
        numbers = (len({d.SeriesInstanceUID for d in same}), len(same) + self.lies.count_off, len(series))
        number = numbers[COUNTS.index(keyword)]
        setattr(answer, keyword, "" if self.lies.counts == "empty" else number)

    def _move(self, event: Any) -> Iterator[Any]:  # noqa: ANN401  # pynetdicom's event has no type
        asked = _asked(event.identifier, str(event.move_destination).strip())
        self.moves.append(asked)
        address = self.known.get(asked.target)
        if address is None:
            yield None, None  # pynetdicom answers 0xA801
            return
        some = self._asked_for(event.identifier)
        yield *address, {"contexts": _contexts(some), "ae_title": asked.target}
        yield from self._send(event, some)

    def _get(self, event: Any) -> Iterator[Any]:  # noqa: ANN401  # pynetdicom's event has no type
        self.gets.append(_asked(event.identifier))
        yield from self._send(event, self._asked_for(event.identifier))

    def _send(self, event: Any, some: Sequence[Dataset]) -> Iterator[Any]:  # noqa: ANN401  # pynetdicom's event has no type
        yield len(some)
        if self.lies.moves:
            yield self.lies.moves, None
            return
        for number, ds in enumerate(some):
            time.sleep(self.lies.pause_s)
            if number == self.lies.abort_move:
                event.assoc.abort()
                return
            if self.lies.instances is not None and len(self.sent) >= self.lies.instances:
                yield 0xA702, None
                return
            self.sent.append(str(ds.SOPInstanceUID))
            yield PENDING, ds

    def _asked_for(self, query: Dataset) -> list[Dataset]:
        keywords = [keyword for keyword in UIDS.values() if keyword in query]
        found = [ds for ds in self._near(query) if all(_matches(query[k], [str(ds[k].value)]) for k in keywords)]
        strangers = [ds for ds in self.held if ds not in found][:1] if self.lies.strangers else []
        found = found[: len(found) - self.lies.missing]
        found = [ds for ds in found if str(ds.SOPInstanceUID) not in self.lies.withheld]
        return (found + strangers) * (2 if self.lies.twice else 1)


def _asked(query: Dataset, target: str = "") -> Asked:
    keys = {elem.keyword: _text(elem.value) for elem in query if elem.keyword != "QueryRetrieveLevel"}
    return Asked(str(query.QueryRetrieveLevel), keys, target)


def _text(value: Any) -> str:  # noqa: ANN401  # a value of pydicom
    if isinstance(value, list | pydicom.multival.MultiValue):
        return "\\".join(str(each) for each in value)
    return "" if value is None else str(value)


def _contexts(some: Sequence[Dataset]) -> list[Any]:
    pairs = sorted({(str(ds.SOPClassUID), str(ds.file_meta.TransferSyntaxUID)) for ds in some})
    return [build_context(*pair) for pair in pairs]


def _matches(elem: DataElement, values: Sequence[str]) -> bool:
    """Match as PS3.4 C.2.2.2 has it, simply."""
    wanted = _text(elem.value)
    if not wanted.strip("*"):
        return True
    if elem.VR in ("DA", "TM") and "-" in wanted:
        first, _, last = wanted.partition("-")
        return any(first <= value <= (last or "99999999") for value in values)
    if dictionary_VR(elem.tag) == "PN":
        wanted, values = wanted.casefold(), [value.casefold() for value in values]
    return any(fnmatch.fnmatchcase(value, each) for value in values for each in wanted.split("\\"))
